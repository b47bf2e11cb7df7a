package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/sim/memstore"
)

// counted counts the VMs that are open, and that ever were.
type counted struct {
	jsvm.Machine
	open, ever *int
}

type countedSession struct {
	jsvm.Session
	open *int
}

// Open implements jsvm.Machine.
func (m counted) Open(ctx context.Context, setup jsvm.Setup) (jsvm.Session, error) {
	s, err := m.Machine.Open(ctx, setup)
	if err == nil {
		*m.open++
		*m.ever++
	}
	return countedSession{s, m.open}, err
}

// Close implements jsvm.Session.
func (s countedSession) Close() {
	*s.open--
	s.Session.Close()
}

// TestAFirstCellComputesAhead: while a submission is under way the cell computes up to its first call, and nothing is asked of
// the database. What becomes of it then depends on what becomes of the submission; in the end all is done once.
func TestAFirstCellComputesAhead(t *testing.T) {
	t.Parallel()
	type then struct {
		vms  int      // open after the submission
		asks []string // what the process asks for then
	}
	for name, c := range map[string]struct {
		play func(w *world, submit *pending)
		then then
		vms  int // ever
	}{
		"given": {func(w *world, submit *pending) { w.release(submit) }, then{1, []string{"tool"}}, 1},
		"refused": {func(w *world, submit *pending) {
			w.unpark(submit)
			submit.reply <- errors.New("refused")
		}, then{0, nil}, 2},
		"outcome unknown": {func(w *world, submit *pending) {
			w.unpark(submit)
			if err := submit.run(); err != nil {
				t.Error(err)
			}
			submit.reply <- memstore.ErrAway
		}, then{0, nil}, 2},
		"told to leave": {func(w *world, submit *pending) {
			w.slots[0].told = true
			w.slots[0].stopping()
			w.release(submit)
		}, then{1, []string{"commit"}}, 2},
		"given to nobody": {func(w *world, submit *pending) {
			w.slots[0].db.Taker = nil
			w.outside(func(ctx context.Context, s *memstore.Session) error { return s.Leave(ctx, w.slots[0].id) })
			w.release(submit)
		}, then{0, nil}, 2},
		"killed": {func(w *world, submit *pending) {
			w.unpark(submit)
			if err := submit.run(); err != nil {
				t.Error(err)
			}
			w.crash(w.slots[0])
			submit.reply <- errKilled
		}, then{0, nil}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cell := program{Steps: []step{{Do: "print"}, {Do: "call", Calls: []call{made("note", "a")}}, {Do: "exit"}}}
				w, open, ever := alone(plan{warmup: []program{cell}})
				w.slots[0].submit(w.ids[0])
				submit := w.until("submit")
				if diff := cmp.Diff([]string{"submit"}, asks(w)); diff != "" || *open != 1 {
					t.Errorf("while it is under way %d VMs are open, want 1; asked for (-want +got):\n%s", *open, diff)
				}
				c.play(w, submit)
				w.settled()
				if got := (then{*open, asks(w)}); !slices.Equal(got.asks, c.then.asks) || got.vms != c.then.vms {
					t.Errorf("then %+v, want %+v", got, c.then)
				}
				w.finish()
				if w.err != nil {
					t.Errorf("%v\n%s", w.err, strings.Join(w.trace, "\n"))
				}
				if *open != 0 || *ever != c.vms {
					t.Errorf("in the end %d VMs are open of %d, want 0 of %d", *open, *ever, c.vms)
				}
			})
		})
	}
}

// alone is a world of one job and one process, with all its VMs counted.
func alone(p plan) (w *world, open, ever *int) {
	w = newWorld(1, Options{})
	open, ever = new(int), new(int)
	w.machine = counted{w.machine, open, ever}
	w.faults = faults{}
	w.slots, w.ids = make([]*process, 1), w.ids[:1]
	w.plans = map[jobs.ID]*plan{w.ids[0]: &p}
	w.start(0)
	return w, open, ever
}

// asks is what processes have asked for and not been answered, but for heartbeats and chores.
func asks(w *world) (list []string) {
	for _, c := range w.parked {
		if c.job == w.ids[0] {
			list = append(list, c.what)
		}
	}
	return list
}
