package statek

import (
	"log/slog"
	"time"
)

// Config says where the database is.
type Config struct {
	// DatabaseURL is a postgres:// URL or a keyword/value string. Required.
	DatabaseURL string
	// Logger gets what operators should know. Default: slog.Default().
	Logger *slog.Logger
	// MaxConns bounds the client's connection pool. Default 16.
	MaxConns int
	// PollOnly is for a database behind a pooler in transaction mode, where LISTEN and prepared statements do not
	// work. Default: it is found out with the first connection, in a few seconds.
	PollOnly bool
}

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
	// MaxJobs are driven at once. Default 1,000.
	MaxJobs int
	// Conns is the size of the worker's own connection pool. Default 16, at least 6.
	Conns int
	// Grace is how long running work may take to finish after Run's context has ended. Default 20 s.
	Grace time.Duration
}
