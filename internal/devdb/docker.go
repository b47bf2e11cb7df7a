package devdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"slices"
	"strconv"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

const image = "postgres:17-alpine"

// StartContainer runs the server in Docker. Its data ends with it.
func StartContainer(ctx context.Context, cfg Config) (*Server, error) {
	if !DockerAnswers(ctx) {
		return nil, ErrNoPostgres
	}
	onOff := map[bool]string{true: "on", false: "off"}[cfg.FSync]
	settings := map[string]string{"fsync": onOff, "full_page_writes": onOff, "max_connections": "200", "jit": "off"}
	maps.Copy(settings, cfg.Settings)
	command := []string{"postgres"}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		command = append(command, "-c", name+"="+settings[name])
	}
	s := &Server{password: rand.Text()}
	container, err := postgres.Run(ctx, image,
		postgres.WithUsername(superuser), postgres.WithPassword(s.password), postgres.WithDatabase("postgres"),
		testcontainers.WithCmd(command...), testcontainers.WithLogger(log.New(io.Discard, "", 0)),
		postgres.BasicWaitStrategies())
	s.stop = func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: run %s: %w", image, err), s.stop())
	}
	if s.host, err = container.Host(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: find container: %w", err), s.stop())
	}
	port, err := container.MappedPort(ctx, "5432/tcp")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: find container's port: %w", err), s.stop())
	}
	if s.port, err = strconv.Atoi(port.Port()); err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: read container's port: %w", err), s.stop())
	}
	cfg.Logger.Info("PostgreSQL is running in a container; its data ends with it", "image", image, "port", s.port)
	return s, nil
}

// DockerAnswers reports whether a Docker engine is there.
func DockerAnswers(ctx context.Context) (answers bool) {
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
