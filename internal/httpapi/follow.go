package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/app"
)

// How long Follow waits before it connects again: from the first to the longest, doubling.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// A stream is never silent for this long: three heartbeats.
	longestSilence = 45 * time.Second
)

var errStreamBroke = errors.New("the stream broke")

// Follow emits the job's rows after a sequence number, and those to come, until the job is DONE. It connects
// again when the connection is lost or the API is away, and neither misses nor repeats a row. It fails only
// when the API refuses, emit fails, or ctx ends.
func (c *Client) Follow(ctx context.Context, id uuid.UUID, after int64, emit func(app.HistoryRow) error) error {
	f := follower{client: c, id: id, last: after, emit: emit}
	for pause := firstPause; ; {
		before := f.last
		err := f.once(ctx)
		if !errors.Is(err, errStreamBroke) {
			return err
		}
		if f.last > before {
			pause = firstPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause = min(2*pause, longestPause)
	}
}

type follower struct {
	client *Client
	id     uuid.UUID
	last   int64
	emit   func(app.HistoryRow) error
}

// once reads one connection to its end; errStreamBroke asks for another.
func (f *follower) once(caller context.Context) error {
	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	silence := time.AfterFunc(f.client.silence, cancel)
	defer silence.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if f.last > 0 {
		header.Set("Last-Event-ID", strconv.FormatInt(f.last, 10))
	}
	res, err := f.client.send(ctx, request{path: jobPath(f.id, "/history"), header: header})
	if err != nil {
		refusal := (*ProblemError)(nil)
		if caller.Err() != nil || errors.As(err, &refusal) && refusal.Problem.Status < 500 {
			return err
		}
		return fmt.Errorf("%w: %w", errStreamBroke, err)
	}
	defer func() { _ = res.Body.Close() }()
	heard := func() { silence.Reset(f.client.silence) }
	for events := newEventReader(res.Body, heard); ; {
		e, err := events.next()
		if caller.Err() != nil {
			return caller.Err()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errStreamBroke, err)
		}
		switch e.kind {
		case "end":
			return nil
		case "problem":
			return fmt.Errorf("%w: %s", errStreamBroke, e.data)
		}
		if err := f.row(e); err != nil {
			return err
		}
	}
}

func (f *follower) row(e event) error {
	var row app.HistoryRow
	if err := json.Unmarshal([]byte(e.data), &row); err != nil {
		return fmt.Errorf("read event %s: %w", e.kind, err)
	}
	if row.Seq <= f.last {
		return nil
	}
	if err := f.emit(row); err != nil {
		return err
	}
	f.last = row.Seq
	return nil
}

// event is one server-sent event.
type event struct{ kind, data string }

// eventReader reads events as the HTML standard defines them; ids are in the rows and not needed here.
type eventReader struct {
	lines *bufio.Reader
	heard func() // is called for every line, comments too
}

func newEventReader(r io.Reader, heard func()) *eventReader {
	return &eventReader{lines: bufio.NewReader(r), heard: heard}
}

// next returns the next event with data; io.EOF when the stream ended between events or in one.
func (r *eventReader) next() (event, error) {
	var e event
	var data []string
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		r.heard()
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			if data == nil {
				e = event{}
				continue
			}
			e.data = strings.Join(data, "\n")
			return e, nil
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.kind = value
		case "data":
			data = append(data, value)
		}
	}
}
