package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"statek/internal/app"
	"statek/internal/config"
)

func (p *program) doctor() *cobra.Command {
	var url string
	var log config.Logging
	var fix, asJSON bool
	c := p.command(&cobra.Command{
		Use: "doctor", Short: "Find what makes jobs wait in vain", Args: cobra.NoArgs,
		Long: "doctor looks at watches, temporals, old transactions, lost wake-ups, workers, doorbells, clocks, sizes and\n" +
			"what retention has not removed yet. Each finding says\n" +
			"what it is, why it matters and what to do. It ends with 1 when something serious is left. --fix mends what is safe to mend:\n" +
			"it watches tables again. It speaks to the database.",
		Example: "  statek doctor\n  statek doctor --fix --json",
	}, func(s *config.Set) {
		s.DatabaseURL(&url, true)
		log.Bind(s)
	}, func(ctx context.Context, _ []string) error {
		a, err := app.Open(ctx, app.Config{DatabaseURL: url, Logger: log.Logger(p.stderr), MaxConns: 2})
		if err != nil {
			return err
		}
		defer a.Close()
		checkup, err := a.Doctor(ctx, fix)
		if err != nil {
			return err
		}
		if asJSON {
			err = p.printJSON(checkup)
		} else {
			err = p.printCheckup(checkup)
		}
		if err == nil && checkup.Sick() {
			return fmt.Errorf("something is wrong: see above")
		}
		return err
	})
	c.Flags().BoolVar(&fix, "fix", false, "mend what is safe to mend")
	c.Flags().BoolVar(&asJSON, "json", false, jsonUsage)
	return c
}

func (p *program) printCheckup(c app.Checkup) error {
	for _, one := range c.Complaints {
		grade := "note"
		switch {
		case one.Fixed:
			grade = "fixed"
		case one.Serious:
			grade = "problem"
		}
		fmt.Fprintf(p.stdout, "%s (%s): %s\n", grade, one.Check, plain(one.What))
		if !one.Fixed {
			fmt.Fprintf(p.stdout, "  why: %s\n  do:  %s\n", plain(one.Why), plain(one.Remedy))
		}
	}
	if len(c.Complaints) == 0 {
		fmt.Fprintln(p.stdout, "nothing is wrong")
	}
	fmt.Fprintf(p.stdout, "\nworkers: %d; lost wake-ups caught by the sweep: %d; marks that failed: %d\n", c.Workers, c.Caught, c.FailedMarks)
	fmt.Fprintf(p.stdout, "model replies that may have been paid twice: %d; other attempts that failed: %d\n\n", c.Wasted, c.Retries)
	if err := p.printRemoval(c.Retention); err != nil {
		return err
	}
	t := newTable(p.stdout, "TABLE", "BYTES", "ROWS (ABOUT)")
	for _, size := range c.Tables {
		if size.Bytes >= 1<<20 {
			t.row(size.Name, strconv.FormatInt(size.Bytes, 10), strconv.FormatInt(size.Rows, 10))
		}
	}
	return t.flush()
}

// printRemoval says how far the removal of old jobs has got.
func (p *program) printRemoval(r app.Removal) error {
	due := strconv.FormatInt(r.Due, 10)
	if r.AtLeast {
		due = "at least " + due
	}
	_, err := fmt.Fprintf(p.stdout, "retention: %s jobs to remove, %d gone but for some of their history; %d removed in all\n\n", due, r.Leftover, r.Removed)
	return err
}
