package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

// writeTime is how long a client may leave an event unread before it counts as gone.
const writeTime = 30 * time.Second

// eventWriter writes server-sent events, and comments while there are none.
type eventWriter struct {
	control *http.ResponseController
	stop    chan struct{}
	done    chan struct{}

	mu  sync.Mutex // guards the response and err
	w   http.ResponseWriter
	err error
}

func newEventWriter(ctx huma.Context, heartbeat time.Duration) *eventWriter {
	_, w := humachi.Unwrap(ctx)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	e := &eventWriter{control: http.NewResponseController(w), stop: make(chan struct{}), done: make(chan struct{}), w: w}
	_ = e.write([]byte("retry: 1000\n\n"))
	go e.beat(heartbeat)
	return e
}

func (e *eventWriter) beat(every time.Duration) {
	defer close(e.done)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-ticker.C:
			_ = e.write([]byte(": still here\n\n"))
		}
	}
}

// send writes one event; id 0 gives it none, so that the client's Last-Event-ID stays.
func (e *eventWriter) send(id int64, kind string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("httpapi: encode event %s: %w", kind, err)
	}
	var b bytes.Buffer
	if id != 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", kind, text)
	return e.write(b.Bytes())
}

func (e *eventWriter) write(text []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	// Writers without deadlines (recorders in tests) do not block.
	if err := e.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		e.err = err
		return err
	}
	if _, err := e.w.Write(text); err != nil {
		e.err = err
		return err
	}
	e.err = e.control.Flush()
	return e.err
}

func (e *eventWriter) failed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err != nil
}

// close ends the comments; nothing is written after it.
func (e *eventWriter) close() {
	close(e.stop)
	<-e.done
	_ = e.control.SetWriteDeadline(time.Time{})
}
