package sandbox

import (
	"fmt"
	"slices"
	"sync"

	"statek/internal/jsvm"
)

// worlds remembers how the grants and limits of a prefix travel: one session after the other has the same, and with their
// documentation they are most of what it takes to open one.
type worlds struct {
	mu   sync.Mutex
	last map[string]encoded // by prefix
}

type encoded struct {
	world
	text []byte
}

// mostEncoded bounds the prefixes that are remembered.
const mostEncoded = 256

func (w *worlds) encode(setup jsvm.Setup) ([]byte, error) {
	w.mu.Lock()
	known := w.last[setup.Prefix]
	w.mu.Unlock()
	if known.text != nil && known.Limits == setup.Limits && slices.Equal(known.Grants, setup.Grants) {
		return known.text, nil
	}
	made := encoded{world: world{Grants: slices.Clone(setup.Grants), Limits: setup.Limits}}
	var err error
	if made.text, err = encoding.Marshal(made.world); err != nil {
		return nil, fmt.Errorf("sandbox: encode grants and limits: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.last) >= mostEncoded {
		clear(w.last)
	}
	w.last[setup.Prefix] = made
	return made.text, nil
}
