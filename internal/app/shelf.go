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

// agent finds the agent of a role.
func (s *shelf) agent(ctx context.Context, prefix, role string) (store.AgentVersion, error) {
	return shelved(s, func() map[agentKey]store.AgentVersion { return s.agents }, agentKey{prefix, role},
		func() (store.AgentVersion, error) { return s.store.FindAgent(ctx, prefix, role) })
}

// catalog reads the tools and temporals of a prefix.
func (s *shelf) catalog(ctx context.Context, prefix string) (store.Catalog, error) {
	return shelved(s, func() map[string]store.Catalog { return s.catalogs }, prefix,
		func() (store.Catalog, error) { return s.store.Catalog(ctx, prefix) })
}

// shelved returns what is kept, or reads and keeps it. What is read is never older than the generation that is kept.
// kept finds the map of now, under the lock: a refresh makes new ones.
func shelved[K comparable, V any](s *shelf, kept func() map[K]V, key K, read func() (V, error)) (V, error) {
	s.mu.Lock()
	value, ok := kept()[key]
	generation := s.generation
	s.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		if len(kept()) >= mostShelved {
			clear(kept())
		}
		kept()[key] = value
	}
	return value, nil
}
