// Command bench runs the same small durable jobs on Statek and on its peers, interleaved, against one PostgreSQL server that
// it starts itself, and prints the tables of docs/benchmarks.md. What is measured and what differs between the contenders is
// said there. It needs Linux (CPU times are read from /proc) and is run by "make bench-peers".
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"statek"
	"statek/bench/contender"
	"statek/bench/systems"
)

// The environment of a contender's process.
const databaseVariable = "BENCH_DATABASE_URL"

func main() {
	statek.SandboxMain() // a sandbox child is a copy of this program
	// A contender is one more copy, started with its name.
	if len(os.Args) == 3 && os.Args[1] == "contender" {
		os.Exit(compete(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func compete(name string) int {
	open, ok := systems.All()[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "bench: there is no contender %q\n", name)
		return 2
	}
	err := contender.Serve(context.Background(), os.Stdin, os.Stdout, func(ctx context.Context) (contender.System, error) {
		return open(ctx, os.Getenv(databaseVariable))
	})
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
		return 1
	}
	return 0
}

// plan says what to run.
type plan struct {
	rounds int
	n      int
	only   []string
	// temporal and worker are programs; empty: what needs them is left out.
	temporal, worker string
}

// wants reports whether a contender, or a part, was asked for.
func (p plan) wants(name string) bool {
	if len(p.only) == 0 {
		return true
	}
	for _, o := range p.only {
		if name == o {
			return true
		}
	}
	return false
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	var p plan
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.IntVar(&p.rounds, "rounds", 3, "how often each contender runs; medians are shown")
	flags.IntVar(&p.n, "n", 2000, "jobs in a round of the load test; Temporal gets a twentieth")
	flags.StringVar(&only, "only", "", "contenders, divided by commas; scaling is one more. Default: all")
	flags.StringVar(&p.temporal, "temporal", "", "the program of the contender Temporal. Default: it is left out")
	flags.StringVar(&p.worker, "worker", "", "a statek-worker for the scaling test. Default: it is left out")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.rounds < 1 || p.n < 100 {
		return fmt.Errorf("expected at least 1 round and 100 jobs, got %d and %d", p.rounds, p.n)
	}
	if only != "" {
		p.only = strings.Split(only, ",")
	}
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	entries := p.entries()
	for round := range p.rounds {
		for i := range entries {
			e := entries[(i+round)%len(entries)] // nobody is always first
			fmt.Fprintf(log, "round %d of %d: %s\n", round+1, p.rounds, e.name)
			if err := e.round(ctx, server, p, round == 0, log); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	if len(entries) > 0 {
		printTables(out, p, entries)
	}
	if p.worker != "" && p.wants("scaling") {
		return scale(ctx, server, p, out, log)
	}
	return nil
}
