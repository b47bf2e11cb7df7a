package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"statek/internal/agents"
	"statek/internal/store/db"
	"statek/internal/temporal"
)

// AgentVersion is one version of an agent.
type AgentVersion struct {
	ID         uuid.UUID
	Prefix     string
	Version    int
	CreatedAt  time.Time
	Definition agents.Definition
}

// FindAgent returns the current version of the role at the nearest ancestor of prefix.
func (s *Store) FindAgent(ctx context.Context, prefix, role string) (AgentVersion, error) {
	row, err := s.q.AgentFind(ctx, db.AgentFindParams{Role: role, Prefix: prefix})
	if err != nil {
		return AgentVersion{}, wrap(err, "find agent %s at %s", role, prefix)
	}
	return agentVersion(row)
}

// Agent returns a version by id.
func (s *Store) Agent(ctx context.Context, id uuid.UUID) (AgentVersion, error) {
	row, err := s.q.AgentByID(ctx, id)
	if err != nil {
		return AgentVersion{}, wrap(err, "read agent %s", id)
	}
	return agentVersion(row)
}

// ListAgents returns the current versions at, above and below a prefix.
func (s *Store) ListAgents(ctx context.Context, prefix string) ([]AgentVersion, error) {
	rows, err := s.q.AgentsList(ctx, prefix)
	if err != nil {
		return nil, wrap(err, "list agents")
	}
	list := make([]AgentVersion, len(rows))
	for i, r := range rows {
		if list[i], err = agentVersion(r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func agentVersion(r db.StatekAgent) (AgentVersion, error) {
	a := AgentVersion{ID: r.ID, Prefix: r.Prefix, Version: int(r.Version), CreatedAt: r.CreatedAt}
	if err := json.Unmarshal(r.Definition, &a.Definition); err != nil {
		return AgentVersion{}, fmt.Errorf("store: decode agent %s version %d: %w", r.Role, r.Version, err)
	}
	return a, nil
}

// Temporal is one version of a temporal.
type Temporal struct {
	ID         uuid.UUID
	Definition temporal.Definition
}

// Catalog is what code of a prefix may call, besides the built-ins.
type Catalog struct {
	Tools     map[string]agents.Tool
	Temporals map[string]Temporal
}

// Catalog reads the tools and temporals visible from a prefix.
func (s *Store) Catalog(ctx context.Context, prefix string) (Catalog, error) {
	c := Catalog{Tools: map[string]agents.Tool{}, Temporals: map[string]Temporal{}}
	tools, err := s.q.ToolsVisible(ctx, prefix)
	if err != nil {
		return c, wrap(err, "read tools at %s", prefix)
	}
	for _, r := range tools {
		var t agents.Tool
		if err := json.Unmarshal(r.Definition, &t); err != nil {
			return c, fmt.Errorf("store: decode tool %s version %d: %w", r.Name, r.Version, err)
		}
		c.Tools[r.Name] = t
	}
	temporals, err := s.q.TemporalsVisible(ctx, prefix)
	if err != nil {
		return c, wrap(err, "read temporals at %s", prefix)
	}
	for _, r := range temporals {
		t := Temporal{ID: r.ID}
		if err := json.Unmarshal(r.Definition, &t.Definition); err != nil {
			return c, fmt.Errorf("store: decode temporal %s version %d: %w", r.Name, r.Version, err)
		}
		c.Temporals[r.Name] = t
	}
	return c, nil
}

// Generation counts changes of agents, tools and temporals.
func (s *Store) Generation(ctx context.Context) (int64, error) {
	n, err := s.q.CatalogGeneration(ctx)
	return n, wrap(err, "read the generation of definitions")
}

// Put is one definition to store.
type Put struct {
	Kind       string // agent, tool, temporal
	Name       string
	Hash       string
	Definition any
	// Watches are installed with a temporal.
	Watches []temporal.Watch
	// Concurrency is how many jobs of an agent run at once; 0: any number.
	Concurrency int
}

// PutResult says what became of a Put.
type PutResult struct {
	Version int
	// Old is the previous definition; nil for the first.
	Old     json.RawMessage
	Changed bool
}

// PutDefinitions stores all definitions in one transaction; unchanged content makes no new version.
func (s *Store) PutDefinitions(ctx context.Context, prefix string, puts []Put) ([]PutResult, error) {
	results := make([]PutResult, len(puts))
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := db.New(tx)
		// One writer at a time: versions are numbered here.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext('statek.definitions'))"); err != nil {
			return err
		}
		if err := q.PrefixEnsure(ctx, prefix); err != nil {
			return err
		}
		for i, p := range puts {
			r, err := put(ctx, q, prefix, p)
			if err != nil {
				return fmt.Errorf("%s %s: %w", p.Kind, p.Name, err)
			}
			for _, w := range p.Watches {
				if _, err := tx.Exec(ctx, "select statek.watch($1::regclass, nullif($2, ''))", w.Relation, w.Column); err != nil {
					return fmt.Errorf("%s %s: watch %s: %w", p.Kind, p.Name, w.Relation, err)
				}
			}
			if p.Kind == "agent" {
				limit := db.LimitSetParams{Prefix: prefix, Role: &p.Name}
				if most := int32(p.Concurrency); most > 0 {
					limit.Most = &most
				}
				if _, err := q.LimitSet(ctx, limit); err != nil {
					return fmt.Errorf("agent %s: limit it: %w", p.Name, err)
				}
			}
			results[i] = r
		}
		return nil
	})
	return results, wrap(err, "store definitions at %s", prefix)
}

func put(ctx context.Context, q *db.Queries, prefix string, p Put) (PutResult, error) {
	definition, err := json.Marshal(p.Definition)
	if err != nil {
		return PutResult{}, err
	}
	var old db.ToolAtRow
	switch p.Kind {
	case "agent":
		var a db.AgentAtRow
		a, err = q.AgentAt(ctx, db.AgentAtParams{Role: p.Name, Prefix: prefix})
		old = db.ToolAtRow(a)
	case "tool":
		old, err = q.ToolAt(ctx, db.ToolAtParams{Name: p.Name, Prefix: prefix})
	case "temporal":
		var t db.TemporalAtRow
		t, err = q.TemporalAt(ctx, db.TemporalAtParams{Name: p.Name, Prefix: prefix})
		old = db.ToolAtRow(t)
	default:
		return PutResult{}, fmt.Errorf("unknown kind of definition %q", p.Kind)
	}
	if err != nil && !isNoRows(err) {
		return PutResult{}, err
	}
	if old.Hash == p.Hash && old.Version > 0 {
		return PutResult{Version: int(old.Version), Old: old.Definition}, nil
	}
	version := old.Version + 1
	switch p.Kind {
	case "agent":
		_, err = q.AgentInsert(ctx, db.AgentInsertParams{Role: p.Name, Version: version, Hash: p.Hash, Prefix: prefix, Definition: string(definition)})
	case "tool":
		_, err = q.ToolInsert(ctx, db.ToolInsertParams{Name: p.Name, Version: version, Hash: p.Hash, Prefix: prefix, Definition: string(definition)})
	case "temporal":
		_, err = q.TemporalInsert(ctx, db.TemporalInsertParams{Name: p.Name, Version: version, Hash: p.Hash, Prefix: prefix, Definition: string(definition)})
	}
	return PutResult{Version: int(version), Old: old.Definition, Changed: true}, err
}
