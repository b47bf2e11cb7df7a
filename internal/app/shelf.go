package app

import (
	"context"
	"sync"

	"statek/internal/store"
)

// shelf keeps the definitions that submissions need. They are good for one generation, which the database compares
// when a job is inserted: a job that was planned with old ones is planned again.
type shelf struct {
	store *store.Store

	mu         sync.Mutex
	generation int64 // 0: not read yet
	agents     map[agentKey]store.AgentVersion
	catalogs   map[string]store.Catalog
}

type agentKey struct{ prefix, role string }

// mostShelved bounds each map; a full one starts anew, which costs a few reads.
const mostShelved = 1000

// refresh asks for the generation of today, and reports whether what is kept was older.
func (s *shelf) refresh(ctx context.Context) (changed bool, err error) {
	n, err := s.store.Generation(ctx)
	if err != nil {
		return false, fail(err, "catalog")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == n {
		return false, nil
	}
	s.generation, s.agents, s.catalogs = n, map[agentKey]store.AgentVersion{}, map[string]store.Catalog{}
	return true, nil
}

// current is the generation that is kept.
func (s *shelf) current(ctx context.Context) (int64, error) {
	s.mu.Lock()
	n := s.generation
	s.mu.Unlock()
	if n != 0 {
		return n, nil
	}
	_, err := s.refresh(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation, err
}

// agent finds the agent of a role; what is read is never older than the generation that is kept.
func (s *shelf) agent(ctx context.Context, prefix, role string) (store.AgentVersion, error) {
	key := agentKey{prefix, role}
	s.mu.Lock()
	agent, ok := s.agents[key]
	generation := s.generation
	s.mu.Unlock()
	if ok {
		return agent, nil
	}
	agent, err := s.store.FindAgent(ctx, prefix, role)
	if err != nil {
		return store.AgentVersion{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		if len(s.agents) >= mostShelved {
			clear(s.agents)
		}
		s.agents[key] = agent
	}
	return agent, nil
}

// catalog reads the tools and temporals of a prefix.
func (s *shelf) catalog(ctx context.Context, prefix string) (store.Catalog, error) {
	s.mu.Lock()
	catalog, ok := s.catalogs[prefix]
	generation := s.generation
	s.mu.Unlock()
	if ok {
		return catalog, nil
	}
	catalog, err := s.store.Catalog(ctx, prefix)
	if err != nil {
		return store.Catalog{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		if len(s.catalogs) >= mostShelved {
			clear(s.catalogs)
		}
		s.catalogs[prefix] = catalog
	}
	return catalog, nil
}
