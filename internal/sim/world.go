package sim

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/engine"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/sim/memstore"
	"statek/internal/sqldef"
	"statek/internal/temporal"
)

// Options say what is simulated.
type Options struct {
	// Bugs break the store on purpose.
	Bugs memstore.Bugs
	// Machine runs the cells; nil: the small one, which knows no JavaScript.
	Machine jsvm.Machine
	// Steps are the events before everything heals; 0: 300.
	Steps int
}

// Report is what came of one seed.
type Report struct {
	Seed uint64
	// Trace has a line per event.
	Trace []string
	Jobs  int
	// Err is the first invariant that did not hold.
	Err error
}

// world is one simulation. Its fields are the simulation's own: it touches them while every other goroutine is blocked.
// What other goroutines touch is guarded by mu.
type world struct {
	Options
	seed      uint64
	rng       *rand.Rand
	db        *memstore.DB
	machine   jsvm.Machine
	group     sync.WaitGroup
	slots     []*process
	processes []*process
	lives     int
	plans     map[jobs.ID]*plan
	ids       []jobs.ID
	faults    faults
	texts     int
	trace     []string
	said      map[jobs.ID][]string // messages that were accepted

	mu        sync.Mutex
	parked    []*pending
	err       error
	excused   map[jobs.ID]bool // lost a doorbell by a fault: the sweeper has to find it
	performed map[string]int
	once      map[string]bool
	seen      map[[3]int]int
}

// plan is what a job will do.
type plan struct {
	n             int
	warmup, turns []program
	submitted     bool
	submitting    bool // a process does, and nobody knows yet
}

// pending is a goroutine that waits for the simulation to let it go on.
type pending struct {
	p        *process // nil: somebody outside
	what, of string
	job      jobs.ID
	txn      memstore.Txn
	ctx      context.Context //nolint:containedctx // of the call
	run      func() error
	reply    chan error
}

// Run simulates one seed.
func Run(t *testing.T, seed uint64, o Options) (r Report) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(seed, o)
		w.run()
		r = Report{Seed: seed, Trace: w.trace, Jobs: len(w.ids), Err: w.err}
	})
	return r
}

func agentID() uuid.UUID { return uuid.MustParse("01980000-0000-7000-8000-000000000001") }

func newWorld(seed uint64, o Options) *world {
	w := &world{
		Options: o, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x57a7e)), machine: o.Machine, plans: map[jobs.ID]*plan{},
		excused: map[jobs.ID]bool{}, performed: map[string]int{}, once: map[string]bool{}, seen: map[[3]int]int{}, said: map[jobs.ID][]string{},
	}
	if w.machine == nil {
		w.machine = machine{seen: func(job, cell, call int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen[[3]int{job, cell, call}]++
		}}
	}
	if w.Steps == 0 {
		w.Steps = 300
	}
	w.faults = drawFaults(w.rng)
	def := agents.Definition{Role: "sim", Meta: map[string]string{"MODEL": "m", "CHAT_STYLE": "CONSOLE"}, Prompt: "You are simulated."}
	w.db = memstore.New(time.Now, agentID(), def, catalog()) //nolint:forbidigo // the bubble's clock
	w.db.Bugs = o.Bugs
	w.slots = make([]*process, 2+w.rng.IntN(2))
	w.write()
	return w
}

func catalog() engine.Catalog {
	note := []agents.Param{{Name: "note", Type: "string"}}
	pick := temporal.Definition{
		Name: "pick", Params: []sqldef.Param{{Name: "queue", Type: "text"}},
		Watches: []temporal.Watch{{Relation: "app.tasks", Column: "queue", Param: "queue"}},
		Release: &sqldef.Statement{},
	}
	return engine.Catalog{
		Tools: map[string]agents.Tool{
			"note":     {Name: "note", Kind: agents.SQLTool, Params: note, SQL: &agents.SQLCall{Returns: agents.ReturnsValue}},
			"ping":     {Name: "ping", Kind: agents.GoTool, Params: note},
			"pingOnce": {Name: "pingOnce", Kind: agents.GoTool, Params: note, Once: true},
		},
		Temporals: map[string]engine.Temporal{"pick": {ID: "01980000-0000-7000-8000-000000000002", Def: pick}},
	}
}

// write makes up the jobs.
func (w *world) write() {
	n := 2 + w.rng.IntN(3)
	a := &author{rng: rand.New(rand.NewPCG(w.seed, 0x90b5))}
	for range n {
		id := w.uuid()
		w.ids = append(w.ids, id)
		a.jobs = append(a.jobs, id.String())
	}
	for i, id := range w.ids {
		p := &plan{n: i}
		turns := w.rng.IntN(3)
		blocks := w.rng.IntN(2)
		if turns == 0 {
			blocks = 1 + w.rng.IntN(2)
		}
		for b := range blocks {
			p.warmup = append(p.warmup, a.program(i, fmt.Sprint("block", b), turns == 0 && b == blocks-1))
		}
		for t := range max(turns, 1) {
			p.turns = append(p.turns, a.program(i, fmt.Sprint("turn", t), t == max(turns, 1)-1))
		}
		w.plans[id] = p
	}
}

// uuid makes an id of version 7 from the seed.
func (w *world) uuid() (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], w.rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.rng.Uint64())
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// run makes things happen, one at a time, until all is over or an invariant does not hold.
func (w *world) run() {
	for i := range w.slots {
		w.sleep(time.Duration(i)*137*time.Microsecond + 333*time.Nanosecond)
		w.start(i)
	}
	for range w.Steps {
		if !w.settled() {
			break
		}
		w.stir()
	}
	w.finish()
}

// finish lets everything heal, waits for the end of all jobs, and judges.
func (w *world) finish() {
	w.heal()
	for rounds := 0; w.settled() && !w.finished(); rounds++ {
		if rounds > 40_000 {
			w.fail(fmt.Errorf("not all jobs end: %s", w.describe()))
		}
		w.calm()
	}
	if w.err == nil {
		w.fail(w.verdict())
	}
	if w.err != nil {
		for _, id := range w.ids {
			if w.plans[id].submitted {
				w.history(id)
			}
		}
	}
	w.demolish()
	if n := w.db.Begun(); n != 0 && w.err == nil {
		w.err = fmt.Errorf("%d calls were begun, and neither made nor undone", n)
	}
}

// settled waits until every goroutine is blocked, and reports whether all invariants hold.
func (w *world) settled() bool {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.check()
	}
	slices.SortStableFunc(w.parked, func(a, b *pending) int {
		return cmp.Or(cmp.Compare(a.owner(), b.owner()), cmp.Compare(a.what, b.what), slices.Compare(a.job[:], b.job[:]), cmp.Compare(a.of, b.of))
	})
	return w.err == nil
}

func (c *pending) owner() string {
	if c.p == nil {
		return ""
	}
	return c.p.name
}

// park blocks until the simulation answers.
func (w *world) park(c *pending) error {
	c.reply = make(chan error, 1)
	w.mu.Lock()
	if c.p != nil && c.p.dead {
		w.mu.Unlock()
		return errKilled
	}
	w.parked = append(w.parked, c)
	w.mu.Unlock()
	return <-c.reply
}

// outside does something at once, without a gate.
func (w *world) outside(do func(context.Context, *memstore.Session) error) {
	if err := do(context.Background(), w.db.Session(nil, time.Now)); err != nil { //nolint:forbidigo // the bubble's clock
		w.fail(err)
	}
}

// fail keeps the first violation.
func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *world) tell(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// sleep lets time pass. Whoever it wakes comes after what the simulation has read of the parked: the race detector knows by the lock.
func (w *world) sleep(d time.Duration) {
	w.mu.Lock()
	w.mu.Unlock() //nolint:staticcheck // nothing is to be guarded
	time.Sleep(d) //nolint:forbidigo // the bubble's clock: nobody waits
}

// job is how a job is called in the trace.
func (w *world) job(id jobs.ID) string {
	if p, ok := w.plans[id]; ok {
		return fmt.Sprint(" j", p.n)
	}
	return ""
}

// text is a fresh payload.
func (w *world) text(what string) json.RawMessage {
	w.texts++
	return json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(what, w.texts)))
}

// history shows a job's history, for the trace of a failure.
func (w *world) history(id jobs.ID) {
	entries, err := w.db.History(id)
	if err != nil {
		w.tell("%v", err)
	}
	for _, e := range entries {
		text, _ := jobs.Encode(e.Event)
		w.tell("   %d %s %d/%d %.300s", e.Seq, e.Event.Kind(), e.Cell, e.Call, text)
	}
	w.tell("  %s: %+v", w.job(id), w.db.Look(id))
}
