package app

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/objects"
	"statek/internal/providers"
	"statek/internal/temporal"
)

// settling makes the commit of a call out of its result, and is told how that ended.
type settling = func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error)

// around announces the two places between a call, its record and the use of the reply.
func around(points *failpoint.Points, settle settling) settling {
	return func(value json.RawMessage, fault *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
		c, ended, err := settle(value, fault)
		if err != nil {
			return c, ended, err
		}
		points.Job(failpoint.ToolDone, c.Job)
		return c, committed(points, failpoint.ToolCommitted, c.Job, ended), nil
	}
}

// committed announces a commit that has succeeded before anybody else hears of it.
func committed(points *failpoint.Points, at failpoint.Point, job jobs.ID, ended jobs.Ended) jobs.Ended {
	return func(released bool, err error) {
		if err == nil {
			points.Job(at, job)
		}
		ended(released, err)
	}
}

type armedSQL struct {
	engine.SQLRunner
	points *failpoint.Points
}

// RunTool implements engine.SQLRunner.
func (s armedSQL) RunTool(ctx context.Context, run agents.SQLRun, settle settling) error {
	s.points.Job(failpoint.ToolBefore, jobIn(run.Builtins["job_id"]))
	return s.SQLRunner.RunTool(ctx, run, around(s.points, settle))
}

// GiveBack implements engine.SQLRunner.
func (s armedSQL) GiveBack(ctx context.Context, job jobs.ID, prefix string, values []temporal.Discard,
	settle func(outcomes []string) (jobs.Commit, jobs.Ended, error),
) error {
	s.points.Job(failpoint.GiveBackBefore, job)
	return s.SQLRunner.GiveBack(ctx, job, prefix, values, func(outcomes []string) (jobs.Commit, jobs.Ended, error) {
		c, ended, err := settle(outcomes)
		if err != nil {
			return c, ended, err
		}
		s.points.Job(failpoint.GiveBackDone, job)
		return c, committed(s.points, failpoint.GiveBackAfter, job, ended), nil
	})
}

type armedObjects struct {
	engine.Objects
	points *failpoint.Points
}

// RunObject implements engine.Objects.
func (o armedObjects) RunObject(ctx context.Context, call objects.Call, settle settling) error {
	o.points.Job(failpoint.ToolBefore, jobIn(strings.TrimPrefix(call.By, "job ")))
	return o.Objects.RunObject(ctx, call, around(o.points, settle))
}

type armedWaits struct {
	engine.Waits
	points *failpoint.Points
}

// TryNow implements engine.Waits.
func (w armedWaits) TryNow(ctx context.Context, specs ...temporal.Spec) error {
	for _, s := range specs {
		if s.Group != nil {
			w.points.Group(failpoint.TryBefore, s.Group.Name, s.Group.Args)
		}
	}
	err := w.Waits.TryNow(ctx, specs...)
	for _, s := range specs {
		if s.Group != nil {
			w.points.Group(failpoint.TryAfter, s.Group.Name, s.Group.Args)
		}
	}
	return err
}

// armedTransport is that of HTTP tools, whose calls carry the job in their key.
type armedTransport struct {
	http.RoundTripper
	points *failpoint.Points
}

// RoundTrip implements http.RoundTripper.
func (t armedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	job := jobIn(req.Header.Get("Idempotency-Key"))
	t.points.Job(failpoint.HTTPBefore, job)
	resp, err := t.RoundTripper.RoundTrip(req)
	if err == nil {
		t.points.Job(failpoint.HTTPAfter, job)
	}
	return resp, err
}

type armedProvider struct {
	providers.Provider
	points *failpoint.Points
}

// Complete implements providers.Provider.
func (p armedProvider) Complete(ctx context.Context, req providers.Request) (providers.Reply, error) {
	p.points.Job(failpoint.RequestBefore, jobIn(req.Job))
	reply, err := p.Provider.Complete(ctx, req)
	if err == nil {
		p.points.Job(failpoint.RequestAfter, jobIn(req.Job))
	}
	return reply, err
}

type armedTurns struct {
	engine.Turns
	points *failpoint.Points
}

// Draw implements engine.Turns.
func (t armedTurns) Draw(ctx context.Context, provider string, rpm, tpm, requests, tokens int) (time.Duration, error) {
	wait, err := t.Turns.Draw(ctx, provider, rpm, tpm, requests, tokens)
	if err == nil {
		t.points.Worker(failpoint.TurnAfter)
	}
	return wait, err
}

type armedPulse struct {
	engine.Pulse
	points *failpoint.Points
}

// Beat implements engine.Pulse.
func (p armedPulse) Beat(ctx context.Context, worker uuid.UUID, deadAfter time.Duration) (engine.Beat, error) {
	p.points.Worker(failpoint.BeatBefore)
	beat, err := p.Pulse.Beat(ctx, worker, deadAfter)
	if err == nil {
		p.points.Worker(failpoint.BeatAfter)
	}
	return beat, err
}

type armedChores struct {
	engine.Chores
	points *failpoint.Points
}

// LookAround implements engine.Chores.
func (c armedChores) LookAround(ctx context.Context) (engine.Around, error) {
	c.points.Worker(failpoint.TickBefore)
	seen, err := c.Chores.LookAround(ctx)
	c.points.Worker(failpoint.TickAfter)
	return seen, err
}

// LookAtMarks implements engine.Chores.
func (c armedChores) LookAtMarks(ctx context.Context) (time.Duration, error) {
	c.points.Worker(failpoint.TickBefore)
	again, err := c.Chores.LookAtMarks(ctx)
	c.points.Worker(failpoint.TickAfter)
	return again, err
}

// Bury implements engine.Chores.
func (c armedChores) Bury(ctx context.Context, ids []uuid.UUID, deadAfter time.Duration) ([]uuid.UUID, error) {
	dead, err := c.Chores.Bury(ctx, ids, deadAfter)
	if len(dead) > 0 {
		c.points.Worker(failpoint.BuryAfter)
	}
	return dead, err
}

// TakeOver implements engine.Chores.
func (c armedChores) TakeOver(ctx context.Context) (int, error) {
	n, err := c.Chores.TakeOver(ctx)
	if n > 0 {
		c.points.Worker(failpoint.TakeOverAfter)
	}
	return n, err
}

// RingStray implements engine.Chores.
func (c armedChores) RingStray(ctx context.Context, limit int) (int, error) {
	n, err := c.Chores.RingStray(ctx, limit)
	if n > 0 {
		c.points.Worker(failpoint.StrayAfter)
	}
	return n, err
}

// Prune implements engine.Chores.
func (c armedChores) Prune(ctx context.Context) (bool, error) {
	more, err := c.Chores.Prune(ctx)
	if more && err == nil {
		c.points.Worker(failpoint.PruneAfter)
	}
	return more, err
}

// jobIn reads the job at the start of a key such as "job/cell/call"; zero when there is none.
func jobIn(key string) uuid.UUID {
	id, _, _ := strings.Cut(key, "/")
	job, err := uuid.Parse(id)
	if err != nil {
		return uuid.Nil
	}
	return job
}
