package app

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"

	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/store"
)

const maxPayload = 256 << 10

// SendMessage leaves a message for a job: shown to the model at the next turn, or given to a pending
// message(). Mode "interrupt" ends the open cell first. A succeeded job starts again.
func (a *App) SendMessage(ctx context.Context, id uuid.UUID, payload json.RawMessage, mode string) error {
	kind := "message"
	switch mode {
	case "", "message":
	case "interrupt":
		kind = mode
	default:
		return invalid("mode", mode, `must be left out or "interrupt"`)
	}
	if err := checkPayload("message", payload); err != nil {
		return err
	}
	return a.tell(ctx, id, kind, payload, func(status jobs.Status, outcome jobs.Outcome) error {
		if status == jobs.Done && outcome != jobs.Succeeded {
			return &Error{Kind: KindConflict, Message: fmt.Sprintf("job %s was %s: resume it first (POST /v1/jobs/%s/resume)", id, outcome, id)}
		}
		return nil
	})
}

// Cancel ends a job. A running model request or tool is cancelled within 1.5 s.
func (a *App) Cancel(ctx context.Context, id uuid.UUID, reason string) error {
	return a.tell(ctx, id, "cancel", text(reason), func(status jobs.Status, outcome jobs.Outcome) error {
		if status == jobs.Done && outcome != jobs.Cancelled {
			return &Error{Kind: KindConflict, Message: fmt.Sprintf("job %s has already ended: %s", id, outcome)}
		}
		return nil
	})
}

// Pause stops a job until it is resumed. The open cell is kept.
func (a *App) Pause(ctx context.Context, id uuid.UUID, reason string) error {
	return a.tell(ctx, id, "pause", text(reason), func(status jobs.Status, outcome jobs.Outcome) error {
		if status == jobs.Done {
			return &Error{Kind: KindConflict, Message: fmt.Sprintf("job %s has ended: %s", id, outcome)}
		}
		return nil
	})
}

// Resume continues a paused job, or reopens a failed or cancelled one; budgets start anew.
func (a *App) Resume(ctx context.Context, id uuid.UUID, reason string) error {
	return a.tell(ctx, id, "resume", text(reason), func(status jobs.Status, outcome jobs.Outcome) error {
		if status != jobs.Paused && (status != jobs.Done || outcome == jobs.Succeeded) {
			return &Error{Kind: KindConflict, Message: fmt.Sprintf("job %s is %s: only paused, failed and cancelled jobs can be resumed", id, status)}
		}
		return nil
	})
}

// tell leaves mail, after a check of the job's state. The owner checks again: the state may change between.
func (a *App) tell(ctx context.Context, id uuid.UUID, kind string, payload json.RawMessage, allowed func(jobs.Status, jobs.Outcome) error) error {
	status, outcome, _, err := a.store.Status(ctx, id)
	if err != nil {
		return fail(err, jobName(id))
	}
	if err := allowed(status, outcome); err != nil {
		return err
	}
	return fail(a.put(ctx, id, kind, payload), jobName(id))
}

// put leaves mail. A job that nobody has is run by a worker of this process, if there is one with room.
func (a *App) put(ctx context.Context, id uuid.UUID, kind string, payload json.RawMessage) error {
	points, s := a.here.points(), a.here.taker(1)
	points.Job(failpoint.MailBefore, id)
	if s == nil {
		_, _, err := a.store.Put(ctx, id, kind, payload, uuid.Nil)
		return err
	}
	defer s.engine.Unreserve(1)
	rec, given, err := a.store.Put(ctx, id, kind, payload, s.id)
	if err == nil {
		points.Job(failpoint.MailAfter, id)
	}
	if given && !s.begins(rec) { // it has just been told to leave
		_ = a.store.HandOver(context.WithoutCancel(ctx), rec.Hold) // or it is taken over
	}
	return err
}

// Emit tells the jobs at prefix and below that something happened. A keyed event is first-write-wins:
// created is false when it was there already.
func (a *App) Emit(ctx context.Context, prefix, name, key string, payload json.RawMessage) (int64, bool, error) {
	if prefix == "" {
		prefix = "/"
	}
	if err := checkPrefix("prefix", prefix); err != nil {
		return 0, false, err
	}
	if name == "" || utf8.RuneCountInString(name) > 200 {
		return 0, false, invalid("name", name, "must have 1 to 200 characters")
	}
	if err := checkPayload("payload", payload); err != nil {
		return 0, false, err
	}
	id, created, err := a.store.Waits.Emit(ctx, store.Fact{Prefix: prefix, Name: name, Payload: payload, Key: ptr(key)})
	return id, created, fail(err, "event "+name)
}

func text(s string) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		return json.RawMessage(`""`)
	}
	return raw
}

func checkPayload(field string, payload json.RawMessage) error {
	switch {
	case len(payload) > maxPayload:
		return invalid(field, nil, fmt.Sprintf("has %d bytes; at most %d are accepted", len(payload), maxPayload))
	case len(payload) > 0 && (!json.Valid(payload) || !utf8.Valid(payload)):
		return invalid(field, nil, "is not JSON")
	default:
		return nil
	}
}
