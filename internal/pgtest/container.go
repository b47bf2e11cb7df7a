package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

const image = "postgres:17-alpine"

// startContainer runs a server in Docker and returns the DSN of its superuser. The library's own helper ends
// the container when this process is killed.
func startContainer(ctx context.Context, settings map[string]string) (dsn string, stop func() error, err error) {
	all := map[string]string{"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
	maps.Copy(all, settings)
	command := []string{"postgres"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		command = append(command, "-c", name+"="+all[name])
	}
	container, err := postgres.Run(ctx, image,
		postgres.WithUsername("postgres"), postgres.WithPassword(rand.Text()), postgres.WithDatabase("postgres"),
		testcontainers.WithCmd(command...), testcontainers.WithLogger(log.New(io.Discard, "", 0)),
		postgres.BasicWaitStrategies())
	stop = func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("pgtest: run %s: %w", image, err), stop())
	}
	if dsn, err = container.ConnectionString(ctx, "sslmode=disable"); err != nil {
		return "", nil, errors.Join(fmt.Errorf("pgtest: find container: %w", err), stop())
	}
	return dsn, stop, nil
}

// dockerAnswers reports whether a Docker engine is there.
func dockerAnswers(ctx context.Context) (answers bool) {
	defer func() {
		// The library panics when it finds no engine at all.
		if recover() != nil {
			answers = false
		}
	}()
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.New(io.Discard, "", 0)))
	if err != nil {
		return false
	}
	defer func() { _ = provider.Close() }()
	return provider.Health(ctx) == nil
}
