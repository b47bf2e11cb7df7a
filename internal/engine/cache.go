package engine

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"statek/internal/agents"
)

// catalogs caches definitions: agent versions are immutable, and a catalog is good for one generation.
type catalogs struct {
	mu       sync.Mutex
	agents   map[uuid.UUID]agents.Definition
	prefixes map[string]generation
}

type generation struct {
	number  int64
	catalog Catalog
}

// cacheSize bounds each map; a full one starts anew, which costs a few reads.
const cacheSize = 1000

func (c *catalogs) agent(ctx context.Context, lib Library, id uuid.UUID) (agents.Definition, error) {
	c.mu.Lock()
	def, ok := c.agents[id]
	c.mu.Unlock()
	if ok {
		return def, nil
	}
	def, err := lib.Agent(ctx, id)
	if err != nil {
		return agents.Definition{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.agents == nil || len(c.agents) >= cacheSize {
		c.agents = map[uuid.UUID]agents.Definition{}
	}
	c.agents[id] = def
	return def, nil
}

func (c *catalogs) catalog(ctx context.Context, lib Library, prefix string, number int64) (Catalog, error) {
	c.mu.Lock()
	g, ok := c.prefixes[prefix]
	c.mu.Unlock()
	if ok && g.number == number {
		return g.catalog, nil
	}
	catalog, err := lib.Catalog(ctx, prefix)
	if err != nil {
		return Catalog{}, err
	}
	catalog.grants = allGrants(catalog)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.prefixes == nil || len(c.prefixes) >= cacheSize {
		c.prefixes = map[string]generation{}
	}
	c.prefixes[prefix] = generation{number, catalog}
	return catalog, nil
}
