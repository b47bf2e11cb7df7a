package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"statek/internal/agents"
	"statek/internal/failpoint"
	"statek/internal/jobs"
	"statek/internal/jsvm"
	"statek/internal/objects"
	"statek/internal/store"
	"statek/internal/temporal"
)

// Submit makes one job. It is READY when Submit returns, and rung.
func (a *App) Submit(ctx context.Context, req SubmitRequest) (Job, error) {
	made, err := a.submit(ctx, []SubmitRequest{req}, "", req.Idempotency)
	if err != nil {
		return Job{}, err
	}
	return made[0], nil
}

// SubmitBatch makes all jobs of one agent or none. Errors name the job: "jobs[3].shared_vars.event".
func (a *App) SubmitBatch(ctx context.Context, role string, reqs []SubmitRequest) ([]Job, error) {
	if len(reqs) == 0 || len(reqs) > MaxBatch {
		return nil, invalid("jobs", len(reqs), fmt.Sprintf("must hold 1 to %d jobs", MaxBatch))
	}
	var idem Idempotency
	for i := range reqs {
		reqs[i].Role = role
		if reqs[i].Idempotency.Key != "" {
			idem = reqs[i].Idempotency
		}
	}
	return a.submit(ctx, reqs, "jobs[%d].", idem)
}

// AgentEvent makes one job of an event: the event becomes the one variable that the agent's warmup reads and
// nobody gives. When there is none, or several, it is refused and nothing is lost.
func (a *App) AgentEvent(ctx context.Context, role, prefix string, event json.RawMessage, req SubmitRequest) (Job, error) {
	req.Role, req.Prefix = role, prefix
	req = withDefaults(req)
	if _, err := a.shelf.refresh(ctx); err != nil {
		return Job{}, err
	}
	p, err := a.plan(ctx, req)
	if err != nil {
		return Job{}, err
	}
	if len(p.missing) != 1 {
		return Job{}, &Error{Kind: KindInvalid, Message: "the event has no place to go", Fields: []FieldError{{
			Field: "event", Message: fmt.Sprintf("needs exactly one free variable in the warmup of %s; it reads %s", role, nameList(p.missing)),
		}}}
	}
	vars := maps.Clone(req.SharedVars)
	if vars == nil {
		vars = map[string]json.RawMessage{}
	}
	vars[p.missing[0]] = event
	req.SharedVars = vars
	return a.Submit(ctx, req)
}

func nameList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func withDefaults(req SubmitRequest) SubmitRequest {
	if req.Prefix == "" {
		req.Prefix = "/"
	}
	if req.Priority == 0 {
		req.Priority = 2
	}
	if req.OnConflict == "" {
		req.OnConflict = "reject"
	}
	return req
}

// submit checks everything, then inserts. where is the format of a field's place, with the job's number. Definitions
// come from the shelf: when they prove to be old, or what they say refuses the request, it is done again with new ones.
func (a *App) submit(ctx context.Context, reqs []SubmitRequest, where string, idem Idempotency) ([]Job, error) {
	if err := a.admit(ctx, reqs); err != nil {
		return nil, err
	}
	for {
		made, err := a.submitOnce(ctx, reqs, where, idem)
		var refused *Error
		if !errors.Is(err, store.ErrStale) && !errors.As(err, &refused) {
			return made, err
		}
		if changed, again := a.shelf.refresh(ctx); again != nil || !changed && !errors.Is(err, store.ErrStale) {
			return made, err
		}
	}
}

func (a *App) submitOnce(ctx context.Context, reqs []SubmitRequest, where string, idem Idempotency) ([]Job, error) {
	generation, err := a.shelf.current(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]store.NewJob, len(reqs))
	var wrong []FieldError
	for i, req := range reqs {
		req = withDefaults(req)
		job, fields, err := a.newJob(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if where != "" {
				f.Field = fmt.Sprintf(where, i) + f.Field
			}
			wrong = append(wrong, f)
		}
		list[i] = job
		list[i].Generation = generation
	}
	if len(wrong) > 0 {
		return nil, &Error{Kind: KindInvalid, Message: "the submission is not valid", Fields: wrong}
	}
	return a.insert(ctx, list, reqs[0], idem)
}

// insert writes the jobs. A few that compete for no key are run by a worker of this process, if there is one with room.
func (a *App) insert(ctx context.Context, list []store.NewJob, first SubmitRequest, idem Idempotency) ([]Job, error) {
	key := store.Idempotency{Prefix: list[0].Spec.Prefix, Key: idem.Key, Request: idem.Request}
	if store.Plain(list, key) {
		return a.insertPlain(ctx, list)
	}
	existing := first.OnConflict == "existing"
	points := a.here.points()
	points.Job(failpoint.SubmitBefore, list[0].ID)
	ids, were, err := a.store.InsertJobs(ctx, list, existing, key)
	switch {
	case errors.Is(err, store.ErrKeyTaken):
		return nil, &Error{Kind: KindConflict, Message: "an unfinished job has this business key", Err: err, Fields: []FieldError{{
			Field: "key", Message: strings.TrimPrefix(err.Error(), "store: submit: ") + `; set on_conflict to "existing" to get that job`,
		}}}
	case errors.Is(err, store.ErrKeyReused):
		return nil, &Error{Kind: KindConflict, Err: err, Fields: []FieldError{{
			Field: "Idempotency-Key", Value: idem.Key, Message: "was used for a different request: use a new key for a new request",
		}}}
	case errors.Is(err, store.ErrStale):
		return nil, err
	case err != nil:
		return nil, fail(err, "job")
	}
	points.Job(failpoint.SubmitAfter, list[0].ID)
	made := make([]Job, len(ids))
	for i, id := range ids {
		if were[i] {
			if made[i], err = a.GetJob(ctx, id); err != nil {
				return nil, err
			}
			made[i].Existing = true
			continue
		}
		made[i] = fresh(list[i])
	}
	return made, nil
}

func (a *App) insertPlain(ctx context.Context, list []store.NewJob) ([]Job, error) {
	for _, n := range list {
		a.hub.submits(n.ID)
	}
	bid := a.here.bid(list)
	points := a.here.points()
	points.Job(failpoint.SubmitBefore, list[0].ID)
	taken, err := a.store.SubmitJobs(ctx, list, bid.worker())
	if err != nil {
		bid.lost()
		if errors.Is(err, store.ErrStale) {
			return nil, err
		}
		return nil, fail(err, "job")
	}
	points.Job(failpoint.SubmitAfter, list[0].ID)
	bid.won(taken)
	made := make([]Job, len(list))
	for i, n := range list {
		made[i] = fresh(n)
	}
	return made, nil
}

// fresh is a job just submitted, as GetJob would show it.
func fresh(n store.NewJob) Job {
	j := Job{
		ID: n.ID, Prefix: n.Spec.Prefix, Agent: n.Spec.Role, AgentVersion: n.Spec.AgentVersion, Status: string(jobs.Ready),
		BlockedOn: "worker", BlockedWhy: "waits for a worker to take it", Source: n.Submitted.Source, Locale: n.Spec.Locale,
		Tags: n.Tags, Key: n.Key, Priority: n.Priority, CreatedAt: n.At, ChangedAt: n.At,
	}
	if n.Submitted.RunAt > 0 {
		j.BlockedOn, j.BlockedWhy = "run_at", "starts at its run_at"
	}
	return j
}

// planned is what a submission needs of its agent.
type planned struct {
	agent   store.AgentVersion
	own     []jobs.Block // of the submission's warmup
	blocks  int          // of the whole one
	missing []string     // variables that the warmup reads and nobody gives, in first-use order
}

func (a *App) newJob(ctx context.Context, req SubmitRequest) (store.NewJob, []FieldError, error) {
	wrong := checkRequest(req)
	if len(wrong) > 0 {
		return store.NewJob{}, wrong, nil
	}
	if req.Locale != "" {
		locale, err := agents.ParseLocale(req.Locale)
		if err != nil {
			return store.NewJob{}, []FieldError{{Field: "locale", Value: req.Locale, Message: err.Error()}}, nil
		}
		req.Locale = locale.String()
	}
	p, err := a.plan(ctx, req)
	var refused *Error
	if errors.As(err, &refused) && refused.Kind == KindInvalid && len(refused.Fields) > 0 {
		return store.NewJob{}, refused.Fields, nil
	}
	if err != nil {
		return store.NewJob{}, nil, err
	}
	for _, name := range p.missing {
		wrong = append(wrong, FieldError{Field: "shared_vars." + name, Message: fmt.Sprintf(
			"is read by the warmup of %s and missing: add it to shared_vars", req.Role)})
	}
	variables := make([]jobs.Variable, 0, len(req.SharedVars))
	for _, name := range slices.Sorted(maps.Keys(req.SharedVars)) {
		v, err := jsvm.PlainVariable(name, req.SharedVars[name])
		if err != nil {
			wrong = append(wrong, FieldError{Field: "shared_vars." + name, Message: err.Error()})
			continue
		}
		variables = append(variables, jobs.Variable{Name: v.Name, Value: v.Value, Type: v.Type})
	}
	now := a.now()
	id, err := uuid.NewV7()
	if err != nil {
		return store.NewJob{}, nil, fmt.Errorf("app: make an id: %w", err)
	}
	shared := slices.Sorted(maps.Keys(req.SharedVars))
	submitted := jobs.Submitted{
		Source: req.Source, Locale: req.Locale, Blocks: p.blocks, Vars: shared,
		Limits: jobs.Limits{Turns: req.Limits.Turns, Exceptions: req.Limits.Exceptions, Consecutive: req.Limits.Consecutive, Attempts: req.Limits.Attempts},
	}
	if submitted.Limits.Attempts == 0 {
		submitted.Limits.Attempts = p.agent.Definition.Retry().Attempts
	}
	if req.RunAt != nil && req.RunAt.After(now) {
		submitted.RunAt = req.RunAt.UnixMilli()
	}
	return store.NewJob{
		ID: id, Submitted: submitted, Variables: variables, Tags: req.Tags, Key: req.Key, Priority: req.Priority, At: now,
		Spec: jobs.Spec{
			Prefix: req.Prefix, Role: req.Role, AgentID: p.agent.ID, AgentVersion: p.agent.Version, Locale: req.Locale,
			Warmup: p.own, Params: req.Params, Shared: shared,
		},
	}, wrong, nil
}

// plan finds the agent and checks the warmup: it parses, and what it reads is there.
func (a *App) plan(ctx context.Context, req SubmitRequest) (planned, error) {
	agent, err := a.shelf.agent(ctx, req.Prefix, req.Role)
	if errors.Is(err, store.ErrNotFound) {
		return planned{}, &Error{Kind: KindNotFound, Err: err, Message: "there is no such agent", Fields: []FieldError{{
			Field: "agent", Value: req.Role, Message: fmt.Sprintf("%q is not defined at %s or above: apply its definition first (statek apply DIR)", req.Role, req.Prefix),
		}}}
	}
	if err != nil {
		return planned{}, fail(err, "agent "+req.Role)
	}
	own, err := agents.ParseWarmup("warmup", req.Warmup)
	if err != nil {
		return planned{}, invalid("warmup", nil, err.Error())
	}
	p := planned{agent: agent, blocks: len(own) + len(agent.Definition.Warmup)}
	for _, b := range own {
		p.own = append(p.own, jobs.Block{Source: b.Source, Hidden: b.Hidden})
	}
	known := map[string]bool{objects.Global: true} // built in, and hidden by a variable of that name
	for name := range req.SharedVars {
		known[name] = true
	}
	catalog, err := a.shelf.catalog(ctx, req.Prefix)
	if err != nil {
		return planned{}, fail(err, "catalog")
	}
	for name := range req.SharedVars {
		_, tool := catalog.Tools[name]
		_, wait := catalog.Temporals[name]
		if tool || wait {
			return planned{}, invalid("shared_vars."+name, nil, "is the name of a tool or temporal at "+req.Prefix+": choose another")
		}
	}
	for _, names := range []iter.Seq[string]{maps.Keys(catalog.Tools), maps.Keys(catalog.Temporals)} {
		for name := range names {
			known[name] = true
		}
	}
	for i, b := range append(own, agent.Definition.Warmup...) {
		analysis, err := a.checks.analyze(ctx, a.machine, req.Prefix, b.Source)
		var syntax *jsvm.SyntaxError
		switch {
		case errors.As(err, &syntax) && i < len(own):
			return planned{}, invalid("warmup", nil, fmt.Sprintf("block %d: %s", i+1, syntax))
		case errors.As(err, &syntax):
			return planned{}, invalid("agent", req.Role, fmt.Sprintf("warmup block %d does not parse: %s", i-len(own)+1, syntax))
		case err != nil:
			return planned{}, fmt.Errorf("app: analyze warmup: %w", err)
		}
		for _, name := range analysis.Free {
			// "await event('paid')" is the built-in wait; "print(event)" is a variable of that name.
			if temporal.BuiltIn(name) && slices.Contains(analysis.Called, name) {
				continue
			}
			if !known[name] && !slices.Contains(p.missing, name) {
				p.missing = append(p.missing, name)
			}
		}
		for _, name := range analysis.Declared {
			known[name] = true
		}
	}
	return p, nil
}

// admit refuses submissions to prefixes that have too much to do.
func (a *App) admit(ctx context.Context, reqs []SubmitRequest) error {
	fresh := map[string]int{}
	for _, r := range reqs {
		fresh[withDefaults(r).Prefix]++
	}
	for _, prefix := range slices.Sorted(maps.Keys(fresh)) {
		if err := a.backlog.admit(ctx, prefix, fresh[prefix], a.now(), a.store.Queued); err != nil {
			return err
		}
	}
	return nil
}
