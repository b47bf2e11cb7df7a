package config

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
)

// ErrHelp: the help was asked for and shown.
var ErrHelp = pflag.ErrHelp

// API is what statek-api is told.
type API struct {
	Listen, DatabaseURL string
	PollOnly            bool
	Conns               int
	Grace               time.Duration
	Sandbox             Sandbox
	// LinkKey signs links to approvals; empty: there are none.
	LinkKey []byte
	// MaxRequests are answered at once; MaxQueued jobs of one prefix may wait to be run, 0: any number.
	MaxRequests, MaxQueued int
	Log                    Logging
	Version                bool
}

// LinkKey binds the key of links to approvals.
func (s *Set) LinkKey(into *[]byte) {
	s.Secret(into, "link-key", "STATEK_LINK_KEY", 32, "signs links to approvals, the same on every replica; default: no links")
}

// Worker is what statek-worker is told.
type Worker struct {
	DatabaseURL, ListenHealth string
	PollOnly                  bool
	MaxJobs, Conns            int
	Grace                     time.Duration
	Models                    Models
	Sandbox                   Sandbox
	Log                       Logging
	Version                   bool
}

// Models says which model services to ask.
type Models struct {
	// Scripted is a folder of replies that are played instead of asking a model.
	Scripted string
	// Provider is the provider of agents that name none.
	Provider string
}

// Bind adds the settings of models.
func (m *Models) Bind(s *Set) {
	s.Dir(&m.Scripted, "scripted", "STATEK_SCRIPTED", "play replies from this folder, <role>.md each, instead of asking a model")
	s.Text(&m.Provider, "provider", "STATEK_PROVIDER", "", "the provider of agents that name none, such as OPENROUTER")
}

// ParseAPI reads what statek-api is told. help gets --help and what is said about mistakes.
func ParseAPI(args []string, env Env, help io.Writer) (API, error) {
	var c API
	flags, set := program("statek-api", "serves the REST API; run any number behind a load balancer.",
		"  statek-api --database-url postgres://statek@db/statek --listen 0.0.0.0:8080", env, help)
	set.Address(&c.Listen, "listen", "STATEK_LISTEN", "127.0.0.1:8080", "where to serve")
	set.DatabaseURL(&c.DatabaseURL, true)
	bindPollOnly(set, &c.PollOnly)
	set.Count(&c.Conns, "conns", "STATEK_CONNS", 16, "database connections")
	set.Duration(&c.Grace, "grace", "STATEK_GRACE", 10*time.Second, "how long requests may go on after a signal")
	set.LinkKey(&c.LinkKey)
	set.Count(&c.MaxRequests, "max-requests", "STATEK_MAX_REQUESTS", 512, "requests answered at once, eight times as many may wait; more get 503")
	set.Maybe(&c.MaxQueued, "max-queued", "STATEK_MAX_QUEUED", "jobs of one prefix that may wait to be run; more submissions get 429; default: any number")
	c.Sandbox.Bind(set)
	c.Log.Bind(set)
	flags.BoolVar(&c.Version, "version", false, "print the version")
	return c, parse(flags, set, args, &c.Version)
}

// ParseWorker reads what statek-worker is told.
func ParseWorker(args []string, env Env, help io.Writer) (Worker, error) {
	var c Worker
	flags, set := program("statek-worker", "drives jobs; run any number against one database. X_API_URL and X_API_KEY make model provider X.",
		"  OPENROUTER_API_KEY=… statek-worker --database-url postgres://statek@db/statek\n"+
			"  statek-worker --scripted examples/triage/scripted --listen-health 127.0.0.1:8081", env, help)
	set.DatabaseURL(&c.DatabaseURL, true)
	bindPollOnly(set, &c.PollOnly)
	set.Count(&c.MaxJobs, "max-jobs", "STATEK_MAX_JOBS", 1000, "jobs driven at once")
	set.Count(&c.Conns, "conns", "STATEK_CONNS", 16, "database connections; at least 6")
	set.Duration(&c.Grace, "grace", "STATEK_GRACE", 20*time.Second, "how long running work may take to end after a signal")
	set.Address(&c.ListenHealth, "listen-health", "STATEK_LISTEN_HEALTH", "", "where to serve /healthz and /readyz; default: nowhere")
	c.Sandbox.Bind(set)
	c.Models.Bind(set)
	c.Log.Bind(set)
	flags.BoolVar(&c.Version, "version", false, "print the version")
	err := parse(flags, set, args, &c.Version)
	if err == nil && c.Conns < 6 && !c.Version {
		err = fmt.Errorf("expected --conns to be at least 6, got %d", c.Conns)
	}
	return c, err
}

func bindPollOnly(s *Set, pollOnly *bool) {
	s.Switch(pollOnly, "poll-only", "STATEK_POLL_ONLY", "the database is behind a pooler in transaction mode; found out otherwise, in seconds")
}

// Sandbox says where code that models write is run.
type Sandbox struct {
	// Mode is strict, best-effort or in-process.
	Mode string
	// Children is how many processes there may be; 0: as the machine allows.
	Children int
}

// Bind adds the settings of the sandbox.
func (b *Sandbox) Bind(s *Set) {
	s.Choice(&b.Mode, "sandbox", "STATEK_SANDBOX", "best-effort",
		"where code runs: strict: in child processes with every layer of defence, or not at all; best-effort: with those this host has; in-process: only code you trust",
		"strict", "best-effort", "in-process")
	s.Maybe(&b.Children, "sandbox-children", "STATEK_SANDBOX_CHILDREN", "how many child processes at most; default: four for each core, one for each GiB of memory")
}

// program makes the flags of a program whose help is written to help.
func program(name, what, example string, env Env, help io.Writer) (*pflag.FlagSet, *Set) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(help)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprintf(help, "%s %s\n\nUsage:\n  %s [flags]\n\nExamples:\n%s\n\nFlags:\n%s", name, what, name, example, flags.FlagUsages())
	}
	return flags, NewSet(flags, env)
}

// parse reads the flags; a wish for the version needs nothing else to be right.
func parse(flags *pflag.FlagSet, set *Set, args []string, version *bool) error {
	if err := flags.Parse(args); err != nil {
		return Suggest(flags, err)
	}
	if *version {
		return nil
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("expected no arguments, got %q", flags.Arg(0))
	}
	return set.Resolve(nil)
}

// Suggest adds to an unknown flag the one that was probably meant.
func Suggest(flags *pflag.FlagSet, err error) error {
	unknown := (*pflag.NotExistError)(nil)
	if !errors.As(err, &unknown) {
		return err
	}
	best, distance := "", 4
	flags.VisitAll(func(f *pflag.Flag) {
		if d := edits(unknown.GetSpecifiedName(), f.Name); d < distance && d <= len(f.Name)/2 && !f.Hidden {
			best, distance = f.Name, d
		}
	})
	if best == "" {
		return err
	}
	return fmt.Errorf("%w; did you mean --%s?", err, best)
}

// edits counts the letters to insert, delete or change to make a into b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
