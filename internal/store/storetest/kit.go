package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/jobs"
	"statek/internal/temporal"
)

// kit plays workers by hand.
type kit struct {
	*testing.T
	System
	ctx context.Context //nolint:containedctx // a test's own
}

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) same(what string, want, got any) {
	k.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (k *kit) fenced(what string, err error) {
	k.Helper()
	if !errors.Is(err, jobs.ErrFenced) || errors.Is(err, jobs.ErrUnknownOutcome) {
		k.Errorf("%s: %v, want ErrFenced", what, err)
	}
}

func (k *kit) worker() uuid.UUID {
	k.Helper()
	id := uuid.Must(uuid.NewV7())
	k.must(k.World.Register(k.ctx, id))
	return id
}

// job submits one and takes its doorbell away.
func (k *kit) job() jobs.ID {
	k.Helper()
	k.rings()
	id := uuid.Must(uuid.NewV7())
	k.must(k.World.Submit(k.ctx, id, jobs.Submitted{Blocks: 3}))
	k.same("rings of a submission", []jobs.ID{id}, k.rings())
	return id
}

func (k *kit) rings() []jobs.ID {
	k.Helper()
	list, err := k.World.TakeRings(k.ctx)
	k.must(err)
	return list
}

func (k *kit) put(job jobs.ID, kind, text string) {
	k.Helper()
	payload, err := json.Marshal(text)
	k.must(err)
	k.must(k.World.Put(k.ctx, job, kind, payload))
}

func (k *kit) tick() {
	k.Helper()
	_, err := k.Chores.LookAround(k.ctx)
	k.must(err)
}

// quiet ticks until nothing more happens to a mailbox: who looks when is the store's affair.
func (k *kit) quiet() {
	k.Helper()
	for range 5 {
		k.tick()
	}
}

// mail shows a mailbox: kind, place and payload.
func (k *kit) mail(job jobs.ID) []string {
	k.Helper()
	rows, err := k.Jobs.Mail(k.ctx, job)
	k.must(err)
	return letters(rows)
}

func letters(rows []jobs.Mail) []string {
	list := []string{}
	for _, m := range rows {
		list = append(list, fmt.Sprintf("%s %d/%d %s", m.Kind, m.Cell, m.Call, m.Payload))
	}
	return list
}

func (k *kit) history(job jobs.ID) []string {
	k.Helper()
	entries, err := k.World.History(k.ctx, job)
	k.must(err)
	return kinds(entries)
}

func kinds(entries []jobs.Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%d %s %d/%d", e.Seq, e.Event.Kind(), e.Cell, e.Call))
	}
	return list
}

// life is a worker's hold on a job.
type life struct {
	*kit
	jobs.Record
	state jobs.Job
}

// claim takes a job, which must be possible.
func (k *kit) claim(job jobs.ID, worker uuid.UUID) *life {
	k.Helper()
	rec, ok, err := k.Jobs.Claim(k.ctx, job, worker, false)
	k.must(err)
	if !ok {
		k.Fatalf("worker %s cannot claim job %s", worker, job)
	}
	return &life{k, rec, rec.State}
}

// refused: the job cannot be claimed, and its owner is told.
func (k *kit) refused(job jobs.ID, worker uuid.UUID, held bool) {
	k.Helper()
	if _, ok, err := k.Jobs.Claim(k.ctx, job, worker, held); ok || err != nil {
		k.Fatalf("claim = %v, %v; want no job", ok, err)
	}
}

// events makes a commit, which is not sent.
func (l *life) events(events ...jobs.Event) jobs.Commit {
	l.Helper()
	c := jobs.Commit{Hold: l.Hold}
	now := time.Now().UTC().Truncate(time.Microsecond) //nolint:forbidigo // any time will do
	for _, ev := range events {
		cell := 0
		if l.state.Cell != nil {
			cell = l.state.Cell.Number
		}
		next, _, err := jobs.Step(l.state, ev, now)
		l.must(err)
		l.state = next
		e := jobs.Entry{Seq: next.Seq, At: now, Event: ev}
		e.Cell, e.Call = jobs.Place(ev, cell)
		c.Entries = append(c.Entries, e)
	}
	c.State = l.state
	return c
}

func (l *life) commit(c jobs.Commit) bool {
	l.Helper()
	released, err := l.Jobs.Commit(l.ctx, c)
	l.must(err)
	return released
}

func start(cell int) jobs.CellStarted {
	return jobs.CellStarted{Cell: cell, Origin: jobs.FromWarmup, Index: cell - 1, Source: "x", Engine: 1}
}

// wait is one that a sleeping cell asks for.
type wait struct{ name, args string }

// asleep is a job whose first cell waits, and which nobody holds. sets are of calls, counted from 1.
func (k *kit) asleep(mode temporal.Mode, set []int, waits ...wait) jobs.ID {
	k.Helper()
	job := k.job()
	k.sleeps(job, k.worker(), mode, set, waits...)
	return job
}

func (k *kit) sleeps(job jobs.ID, worker uuid.UUID, mode temporal.Mode, set []int, waits ...wait) {
	k.Helper()
	l := k.claim(job, worker)
	events := []jobs.Event{start(1)}
	for i, w := range waits {
		events = append(events, jobs.CallIssued{Call: i + 1, Name: w.name, Class: jobs.Wait, Args: json.RawMessage(w.args)})
	}
	if set != nil {
		events = append(events, jobs.WaitsJoined{Mode: mode, Calls: set})
	}
	c := l.events(append(events, jobs.Slept{On: []string{"x"}})...)
	for i, w := range waits {
		c.Waits = append(c.Waits, l.plan(i+1, w))
		if c.BlockedOn != "" {
			c.BlockedOn += ","
		}
		c.BlockedOn += w.name
	}
	if set != nil {
		c.Sets = []temporal.Set{{Cell: 1, Calls: set, Mode: mode}}
	}
	c.Release = true
	if !l.commit(c) {
		k.Fatal("the job is not released")
	}
	k.must(k.Waits.TryNow(k.ctx, c.Waits...))
}

func (l *life) plan(call int, w wait) temporal.Spec {
	l.Helper()
	var args []json.RawMessage
	l.must(json.Unmarshal([]byte(w.args), &args))
	scope := temporal.Scope{
		Cell: 1, Call: call, Now: l.World.Now(), Prefix: Prefix, Job: l.Job.String(), JobCreated: l.Spec.CreatedAt,
	}
	if w.name == "pick" {
		def, err := Pick()
		l.must(err)
		scope.Def, scope.TemporalID = &def, PickID().String()
	}
	spec, err := temporal.Plan(w.name, args, scope)
	l.must(err)
	return spec
}

func sorted(list []jobs.ID) []jobs.ID {
	return slices.SortedFunc(slices.Values(list), func(a, b jobs.ID) int { return slices.Compare(a[:], b[:]) })
}
