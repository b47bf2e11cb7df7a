package statek

import (
	"log/slog"
	"time"

	"statek/internal/app"
)

// Config says where the database is.
type Config struct {
	// DatabaseURL is a postgres:// URL or a keyword/value string. Required.
	DatabaseURL string
	// Logger gets what operators should know. Default: slog.Default().
	Logger *slog.Logger
	// MaxConns bounds the client's connection pool. Default 16.
	MaxConns int
	// Sandbox says where the code that models write is read and run. Default: SandboxBestEffort.
	Sandbox Sandbox
	// SandboxChildren is how many child processes there may be. Default: four for each core, at most one for each
	// GiB of memory.
	SandboxChildren int
	// MaxQueued is how many jobs of one prefix may have work and wait to be run; submissions of more fail with ErrBusy.
	// Default: any number.
	MaxQueued int
	// LinkKey signs links to approvals, at least 32 bytes and the same on every replica. Default: no links.
	LinkKey []byte
	// PollOnly is for a database behind a pooler in transaction mode, where LISTEN and prepared statements do not
	// work. Default: it is found out with the first connection, in a few seconds.
	PollOnly bool
}

// Sandbox is a way to run code that models write.
type Sandbox string

const (
	// SandboxStrict runs code in child processes with every layer of defence; where the host lacks one, nothing
	// runs.
	SandboxStrict Sandbox = "strict"
	// SandboxBestEffort runs code in child processes with the layers that the host has, and logs which it lacks.
	SandboxBestEffort Sandbox = "best-effort"
	// SandboxInProcess runs code inside this process, which a single line can then end or hang. It is for tests and
	// for code that you trust.
	SandboxInProcess Sandbox = "in-process"
)

// SandboxMain must be the first call in main, also in TestMain, unless SandboxInProcess is used: the child
// processes are copies of this program, and this is where a copy starts to serve and never returns. In the
// program itself it does nothing.
func SandboxMain() { app.SandboxMain() }

// WorkerConfig says how a worker works. The zero value runs warmups and tools, and no model.
type WorkerConfig struct {
	// Environ are "NAME=value" items, such as os.Environ(): X_API_URL and X_API_KEY declare the model provider
	// X, and HTTP tools read the variables they name. Default: none.
	Environ []string
	// DefaultProvider answers model strings that name no provider. Default: the only one there is, else
	// OPENROUTER.
	DefaultProvider string
	// Scripted is a folder of <role>.md files whose replies are played instead of asking a model. Default: none.
	Scripted string
	// Tools are functions of this program that definitions of kind "go" name.
	Tools []Tool
	// Temporals are waits of this program; [Client.DefineTemporals] makes them known.
	Temporals []Temporal
	// MaxJobs are driven at once, and as many that were woken together with more than eight. Default 1,000.
	MaxJobs int
	// Conns is the size of the worker's own connection pool. Default 16, at least 6.
	Conns int
	// Grace is how long running work may take to finish after Run's context has ended. Default 20 s.
	Grace time.Duration
}
