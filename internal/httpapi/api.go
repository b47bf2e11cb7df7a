package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"statek/internal/app"
)

// Submitter makes jobs.
type Submitter interface {
	Submit(ctx context.Context, req app.SubmitRequest) (app.Job, error)
	SubmitBatch(ctx context.Context, role string, reqs []app.SubmitRequest) ([]app.Job, error)
	AgentEvent(ctx context.Context, role, prefix string, event json.RawMessage, req app.SubmitRequest) (app.Job, error)
}

// Reader shows jobs.
type Reader interface {
	GetJob(ctx context.Context, id uuid.UUID) (app.Job, error)
	WaitJob(ctx context.Context, id uuid.UUID, timeout time.Duration) (app.Job, error)
	ListJobs(ctx context.Context, filter app.ListFilter) (app.JobPage, error)
	History(ctx context.Context, id uuid.UUID, after int64, limit int) ([]app.HistoryRow, error)
	FollowHistory(ctx context.Context, id uuid.UUID, after int64, emit func(app.HistoryRow) error) error
	Variables(ctx context.Context, id uuid.UUID, cell *int) ([]app.Variable, error)
	Explain(ctx context.Context, id uuid.UUID) (app.Explanation, error)
}

// Controller tells jobs what to do, and the world what happened.
type Controller interface {
	SendMessage(ctx context.Context, id uuid.UUID, payload json.RawMessage, mode string) error
	Cancel(ctx context.Context, id uuid.UUID, reason string) error
	Pause(ctx context.Context, id uuid.UUID, reason string) error
	Resume(ctx context.Context, id uuid.UUID, reason string) error
	Emit(ctx context.Context, prefix, name, key string, payload json.RawMessage) (factID int64, created bool, err error)
}

// Approver shows what jobs ask people, and takes the answers.
type Approver interface {
	Approvals(ctx context.Context, filter app.ApprovalFilter) (app.ApprovalPage, error)
	Approval(ctx context.Context, id uuid.UUID) (app.Approval, error)
	Decide(ctx context.Context, id uuid.UUID, decision app.Decision, by string) (app.Approval, error)
	ApprovalLink(ctx context.Context, id uuid.UUID, ttl time.Duration) (app.Link, error)
	ApprovalByLink(ctx context.Context, token string) (app.Approval, error)
	DecideByLink(ctx context.Context, token string, decision app.Decision) (app.Approval, error)
}

// Agents keeps definitions.
type Agents interface {
	ListAgents(ctx context.Context, prefix string) ([]app.Agent, error)
	GetAgent(ctx context.Context, prefix, role string) (app.Agent, error)
	PutAgent(ctx context.Context, prefix, role, prompt, warmup string) (app.Agent, bool, error)
}

// Objects keeps versioned JSON documents.
type Objects interface {
	GetObject(ctx context.Context, name app.ObjectName, version int64) (app.Object, error)
	PutObject(ctx context.Context, name app.ObjectName, value json.RawMessage, expected *int64) (app.Object, bool, error)
	DeleteObject(ctx context.Context, name app.ObjectName, expected *int64) (app.Object, error)
	ListObjects(ctx context.Context, name app.ObjectName, begins, after string, limit int) (app.ObjectPage, error)
}

// Limiter bounds how much runs at once.
type Limiter interface {
	Limits(ctx context.Context, prefix string) ([]app.Limit, error)
	SetPrefixLimit(ctx context.Context, prefix string, concurrency *int) error
}

// Prober reports how the system is.
type Prober interface {
	Health(ctx context.Context) app.Health
}

// App is what the handler asks; *app.App is one.
type App interface {
	Submitter
	Reader
	Controller
	Approver
	Agents
	Objects
	Janitor
	Limiter
	Prober
}

// Options of the handler.
type Options struct {
	// Logger gets requests at debug and failures at error. Default: slog.Default().
	Logger *slog.Logger
	// MaxBody limits a request's body in bytes; a batch may have eight times as much. Default: 8 MiB.
	MaxBody int64
	// MaxRequests is how many requests are answered at once; eight times as many may wait, in long polls and streams. More
	// get 503. Default: 512.
	MaxRequests int
	// Version is shown in the OpenAPI document. Default: "dev".
	Version string
	// Heartbeat is how often an idle stream gets a comment, so that proxies keep it. Default: 15 s.
	Heartbeat time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 8 << 20
	}
	if o.MaxRequests <= 0 {
		o.MaxRequests = 512
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	return o
}

// server is the handler's insides.
type server struct {
	app  App
	opts Options
	log  *slog.Logger
	api  huma.API
}

// New returns the handler of all routes.
func New(a App, opts Options) http.Handler {
	_, router := newServer(a, opts)
	return router
}

func newServer(a App, opts Options) (*server, *chi.Mux) {
	opts = opts.withDefaults()
	s := &server{app: a, opts: opts, log: opts.Logger}
	router := chi.NewRouter()
	requests := &gate{most: int64(opts.MaxRequests)}
	router.Use(s.logRequests, s.recoverPanics, checkTarget, requests.bound)
	router.NotFound(notFound)
	router.MethodNotAllowed(methodNotAllowed(router))
	s.api = humachi.New(router, s.apiConfig())
	s.api.UseMiddleware(s.readBody)
	s.routeAgents()
	s.routeSubmissions()
	s.routeJobs()
	s.routeHistory()
	s.routeControl()
	s.routeObjects()
	s.routeRetention()
	s.routeLimits()
	s.routeApprovals()
	s.routeSystem()
	s.routeDocs(router)
	return s, router
}

func (s *server) apiConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Statek",
				Version:     s.opts.Version,
				Description: apiDescription,
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: []*huma.Tag{
				{Name: "jobs", Description: "Submit jobs, look at them, tell them what to do."},
				{Name: "agents", Description: "What jobs are run by: prompt and warmup, in immutable versions."},
				{Name: "events", Description: "Facts that waiting jobs may be waiting for."},
				{Name: "objects", Description: "Versioned JSON documents that jobs share."},
				{Name: "limits", Description: "How many jobs run at once."},
				{Name: "approvals", Description: "What jobs ask people, and the answers."},
				{Name: "system", Description: "Whether the service lives and is ready."},
			},
			Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName)},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{s.clarify},
	}
}

const apiDescription = `Statek runs agent jobs: durable JavaScript sessions that a language model writes step by step.

Every refusal is an RFC 9457 problem, ` + "`application/problem+json`" + `, whose ` + "`errors`" + ` name the
field, the value and what would be right. 503 means that the database is away for a moment, or this process has too many requests: try again, after
` + "`Retry-After`" + ` seconds. 429 means that the prefix has too many jobs that wait to be run.`

// operation fills in what all operations share.
func (s *server) operation(op huma.Operation) huma.Operation {
	// The body was read, within its limit and deadline, before huma sees it; a deadline of huma's would end
	// the requests that wait.
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	op.Errors = append(op.Errors, http.StatusServiceUnavailable)
	return op
}
