package store_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"statek/internal/agents"
	"statek/internal/jobs"
	"statek/internal/pgtest"
	"statek/internal/store"
)

// TestACallWhoseReplyIsLost: the commit of a call has happened and nobody has heard of it, with a next call begun behind it and without.
// It is told as unknown and not made again; what was begun with it leaves nothing.
func TestACallWhoseReplyIsLost(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"alone", "with the next", "begun with the one before"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			k, h := toolKit(t)
			wire := pgtest.NewWire(t, k.url)
			pool := pgtest.Pool(t, wire.URL())
			near := k.store
			k.store = store.New(pool, nil, time.Now)
			call, next := h.note("lost"), h.note("two")
			warm, follows := h.note("warm"), (*agents.SQLRun)(nil)
			if how == "begun with the one before" {
				follows = &call
			}
			_, err := h.run(warm, follows)
			k.must(err)
			if call.Begun = warm.Chain.Begun; (call.Begun != nil) != (follows != nil) {
				t.Fatalf("begun: %v, and this shows nothing", call.Begun)
			}
			k.bounded()
			var told error
			settled := 0
			err = k.store.RunTool(k.ctx, call, func(v json.RawMessage, _ *jobs.Fault) (jobs.Commit, jobs.Ended, error) {
				if settled++; how == "with the next" {
					call.Chain.Next = &next
				}
				wire.LoseReplyTo(`"lost"`)
				return h.commit(jobs.CallSettled{Call: h.state.Cell.Issued, Name: "t", Value: v}), func(_ bool, err error) { told = err }, nil
			})
			if !errors.Is(err, jobs.ErrUnknownOutcome) || !errors.Is(told, jobs.ErrUnknownOutcome) || settled != 1 || wire.Lost() != 1 {
				t.Errorf("error %v, told %v, settled %d times, %d replies lost; want an unknown outcome and no second attempt", err, told, settled, wire.Lost())
			}
			if call.Chain.Begun != nil {
				t.Error("the next is begun with a commit of which nobody knows")
			}
			for pool.Stat().AcquiredConns() > 0 { // the pool ends broken connections in its own time
				k.exec("select pg_sleep(0.002)")
			}
			k.store = near
			again := k.claimed(h.rec.Job, h.rec.Owner)
			if n := again.rec.State.Seq; n != h.state.Seq {
				t.Errorf("seq %d after the lost reply, want %d: the call is recorded", n, h.state.Seq)
			}
			if n := k.count("select count(*) from app.notes where text = 'lost'"); n != 1 {
				t.Errorf("%d effects, want 1", n)
			}
			k.exec("insert into app.notes (text) values ('two')") // waits for whoever has it
		})
	}
}
