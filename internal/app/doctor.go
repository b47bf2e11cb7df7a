package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"statek/internal/store"
)

// Complaint is something that is wrong or will be.
type Complaint struct {
	Check string `json:"check"`
	// Serious: something does not work, or will be late by more than a moment.
	Serious bool   `json:"serious"`
	What    string `json:"what"`
	Why     string `json:"why"`
	Remedy  string `json:"remedy"`
	// Fixed: it has just been mended.
	Fixed bool `json:"fixed,omitempty"`
}

// Checkup is what Doctor found.
type Checkup struct {
	Complaints []Complaint       `json:"complaints"`
	Tables     []store.TableSize `json:"tables"`
	Workers    int               `json:"workers"`
	Retention  Removal           `json:"retention"`
	// FailedMarks and Caught count since the database was made.
	FailedMarks int64 `json:"failed_marks"`
	Caught      int64 `json:"sweep_caught"`
	// Wasted are model requests repeated because an interruption had lost the answer; Retries are other attempts that
	// failed before a reply came.
	Wasted  int64 `json:"wasted_replies"`
	Retries int64 `json:"model_retries"`
}

// Sick reports whether something serious is left.
func (c Checkup) Sick() bool {
	return slices.ContainsFunc(c.Complaints, func(c Complaint) bool { return c.Serious && !c.Fixed })
}

const (
	// oldTransaction delays new waits for so long that somebody should know.
	oldTransaction = time.Minute
	// mostSkew is how far clocks may be apart: timers of jobs are read from the workers' clocks.
	mostSkew = 2 * time.Second
	// oldDoorbell has waited for a worker for too long.
	oldDoorbell = time.Minute
)

// Doctor looks for what makes jobs wait in vain, or longer than they should. With fix it mends what is safe to mend.
func (a *App) Doctor(ctx context.Context, fix bool) (Checkup, error) {
	d := doctor{App: a, fix: fix, out: Checkup{Complaints: []Complaint{}}}
	for _, check := range []func(context.Context) error{
		d.watches, d.temporals, d.parked, d.transactions, d.wakeUps, d.workers, d.doorbells, d.clock, d.sizes, d.retention, d.attempts,
	} {
		if err := check(ctx); err != nil {
			return d.out, fail(err, "checkup")
		}
	}
	return d.out, nil
}

type doctor struct {
	*App
	fix bool
	out Checkup
}

func (d *doctor) complain(c Complaint) { d.out.Complaints = append(d.out.Complaints, c) }

func (d *doctor) watches(ctx context.Context) error {
	list, err := d.store.Waits.WatchProblems(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		c := Complaint{
			Check: "watches", Serious: p.Serious, What: fmt.Sprintf("watch of %s: %s", named(p), p.Problem), Remedy: p.Remedy,
			Why: "jobs that wait for its rows wake late, by the safety sweep, or not at all",
		}
		if !p.Serious {
			c.Why = "it works, and not as this release would have it"
		}
		if d.fix && p.Fixable {
			if err := d.store.Rewatch(ctx, p); err != nil {
				c.Remedy += " (tried, and failed: " + err.Error() + ")"
			} else {
				c.Fixed = true
			}
		}
		d.complain(c)
	}
	return nil
}

func named(p store.WatchProblem) string {
	if p.Key == "" {
		return p.Relation
	}
	return p.Relation + " by " + p.Key
}

// temporals reviews the newest versions as apply did: tables, rights and watches may have changed since.
func (d *doctor) temporals(ctx context.Context) error {
	list, err := d.store.CurrentTemporals(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	drafts := make([]draft, len(list))
	for i, t := range list {
		drafts[i] = draft{store.Put{Kind: "temporal", Name: t.Definition.Name, Definition: t.Definition}, strings.TrimSuffix(t.Prefix, "/") + "/" + t.Definition.Name}
	}
	found, err := d.review(ctx, drafts)
	for _, f := range found {
		if !f.Warning {
			d.complain(Complaint{
				Check: "temporals", Serious: true, What: "temporal " + f.File + ": " + f.Message,
				Why: "jobs that call it wait in vain, or fail", Remedy: "mend it, or the database, and apply the definitions again",
			})
		}
	}
	return err
}

func (d *doctor) parked(ctx context.Context) error {
	list, err := d.store.Parked(ctx)
	for _, p := range list {
		d.complain(Complaint{
			Check: "parked", Serious: true, What: fmt.Sprintf("%d groups of waits for %s at %s fail: %s", p.Groups, p.Name, p.Prefix, p.Error),
			Why:    "their jobs sleep until the SQL works, in the version that they called",
			Remedy: "mend the database as the error says, with a view of the old name if a table has a new one; they are tried again with back-off, every 5 minutes at the latest",
		})
	}
	return err
}

func (d *doctor) transactions(ctx context.Context) error {
	list, err := d.store.Holders(ctx, oldTransaction)
	for _, h := range list {
		d.complain(Complaint{
			Check: "transactions", Serious: true, What: fmt.Sprintf("%s has an open transaction for %s", h.Who, h.Age.Round(time.Second)),
			Why:    "a write that raced with the beginning of a wait is seen only after it; vacuum waits too",
			Remedy: "end it, and set idle_in_transaction_session_timeout for such sessions",
		})
	}
	return err
}

func (d *doctor) wakeUps(ctx context.Context) error {
	failed, _, err := d.store.Waits.Alarms(ctx)
	if err != nil {
		return err
	}
	caught, at, note, err := d.store.Caught(ctx)
	d.out.FailedMarks, d.out.Caught = failed, caught
	if failed > 0 {
		d.complain(Complaint{
			Check: "marks", What: fmt.Sprintf("%d writes could not be marked for waiting jobs, since the database was made", failed),
			Why: "their jobs woke by the safety sweep, minutes later", Remedy: "see the warnings in the server's log: locks on Statek's tables for more than 50 ms, renamed columns, lost rights",
		})
	}
	if caught > 0 {
		d.complain(Complaint{
			Check: "sweep", Serious: failed == 0, What: fmt.Sprintf("the safety sweep served %d waits that nothing had told of, the last at %s: %s", caught, at.UTC().Format(time.RFC3339), note),
			Why:    "wake-ups were lost: writes that fire no statement trigger, or a fault of ours",
			Remedy: "watch what its condition reads; logical replication, ATTACH PARTITION and ALTER COLUMN … USING need -- recheck; if it is none of these, report it. Afterwards: delete from statek.counters where name = 'sweep_caught'",
		})
	}
	return err
}

func (d *doctor) workers(ctx context.Context) error {
	n, err := d.store.WorkersAlive(ctx)
	if err != nil {
		return err
	}
	if d.out.Workers = n; n == 0 {
		d.complain(Complaint{Check: "workers", Serious: true, What: "no worker is running", Why: "nobody drives jobs", Remedy: "start statek-worker"})
	}
	list, err := d.store.NotListening(ctx)
	for _, w := range list {
		d.complain(Complaint{
			Check: "listening", What: fmt.Sprintf("worker %s on %s does not listen: it polls, or its listener is just reconnecting", w.ID, w.Host),
			Why: "wake-ups through it take up to a second longer", Remedy: "give it a connection that is not pooled by transaction",
		})
	}
	return err
}

func (d *doctor) doorbells(ctx context.Context) error {
	list, err := d.store.Doorbells(ctx)
	for _, b := range list {
		switch {
		case !b.Known:
			d.complain(Complaint{
				Check: "doorbells", Serious: true, What: fmt.Sprintf("%d doorbells are in River's state %s, the oldest for %s", b.Count, b.State, b.Age.Round(time.Second)),
				Why: "doorbells never fail and are never scheduled, so something else wrote these rows", Remedy: "find out who; the rows can be deleted, jobs are rung again",
			})
		case b.State == "available" && b.Age > oldDoorbell:
			d.complain(Complaint{
				Check: "doorbells", Serious: true, What: fmt.Sprintf("%d doorbells wait, the oldest for %s", b.Count, b.Age.Round(time.Second)),
				Why: "jobs have work and no worker looks", Remedy: "start more workers, or raise --max-jobs",
			})
		}
	}
	return err
}

func (d *doctor) clock(ctx context.Context) error {
	before := d.now()
	at, err := d.store.Clock(ctx)
	if err != nil {
		return err
	}
	after := d.now()
	skew := max(before.Sub(at), at.Sub(after))
	if skew > mostSkew {
		d.complain(Complaint{
			Check: "clock", Serious: true, What: fmt.Sprintf("this machine's clock and the database's are %s apart", skew.Round(time.Millisecond)),
			Why: "timers of jobs are read from the workers' clocks", Remedy: "run NTP on both, and doctor on the workers' machines",
		})
	}
	return nil
}

func (d *doctor) sizes(ctx context.Context) (err error) {
	d.out.Tables, err = d.store.TableSizes(ctx)
	return err
}

func (d *doctor) attempts(ctx context.Context) error {
	n, err := d.store.Attempts(ctx)
	d.out.Wasted, d.out.Retries = n.Wasted, n.Retries
	return err
}
