package jsvm

import (
	"strings"
	"sync"
)

// programs remembers compiled cells: warmup code and replays compile the same text again and again. What is
// compiled never changes and belongs to no VM, so sessions share it; those of different prefixes do not, or one
// tenant could tell from the time it takes what another has run.
//
// There are two generations. When the younger one is full the older one goes, so that what is used stays.
type programs struct {
	mu         sync.Mutex
	young, old map[programKey]*compiled
	size       int // of the texts in young
}

type programKey struct {
	prefix, source, transformed, protected string
	bytes, nesting, operators              int // limits of the text
}

// mostPrograms bounds the texts of one generation. What is compiled takes some twenty times as much.
const mostPrograms = 128 << 10

func (p *programs) compile(key programKey, compile func() (*compiled, error)) (*compiled, error) {
	if known := p.find(key); known != nil {
		return known, nil
	}
	made, err := compile()
	if err == nil {
		p.keep(key, made)
	}
	return made, err
}

func (p *programs) find(key programKey) *compiled {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.young[key]; c != nil {
		return c
	}
	c := p.old[key]
	if c != nil {
		p.add(key, c)
	}
	return c
}

func (p *programs) keep(key programKey, c *compiled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(key, c)
}

func (p *programs) add(key programKey, c *compiled) {
	size := len(key.source) + len(c.transformed)
	if size > mostPrograms/4 {
		return
	}
	if p.size += size; p.size > mostPrograms || p.young == nil {
		p.old, p.young, p.size = p.young, map[programKey]*compiled{}, size
	}
	// The texts may be parts of a larger one that must not be held.
	key.prefix, key.source, key.transformed = strings.Clone(key.prefix), strings.Clone(key.source), strings.Clone(key.transformed)
	p.young[key] = c
}
