package devdb

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	image = "postgres:17-alpine"
	// answerBudget is for commands that have nothing to wait for; an engine that hangs must not hang us.
	answerBudget = 5 * time.Second
)

// container is a server that the docker command line runs.
type container struct {
	docker   string // the command
	name     string
	password string
}

// newContainer names the container ourselves: what docker run has half made can then be removed.
func newContainer(docker string) container {
	return container{docker: docker, name: "statek-dev-" + strings.ToLower(rand.Text()[:12]), password: rand.Text()}
}

// start runs the server. Its data ends with it.
func (c container) start(ctx context.Context, cfg Config) (*Server, error) {
	if !c.engineAnswers(ctx) {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("devdb: ask the Docker engine: %w", context.Cause(ctx))
		}
		return nil, ErrNoPostgres
	}
	cfg.Logger.Info("starting PostgreSQL in a container; the first time, its image is fetched", "image", image)
	if _, err := c.run(ctx, c.runArgs(cfg)...); err != nil {
		c.remove(ctx)
		return nil, err
	}
	s := &Server{host: "127.0.0.1", password: c.password}
	var err error
	if s.stop, err = c.keep(); err != nil {
		c.remove(ctx)
		return nil, err
	}
	if s.port, err = c.port(ctx); err == nil {
		err = c.ready(ctx, s)
	}
	if err != nil {
		_ = s.Stop() // the cause is known; a container that has ended is gone already
		return nil, err
	}
	cfg.Logger.Info("PostgreSQL is running in a container; its data ends with it", "image", image, "container", c.name, "port", s.port)
	return s, nil
}

// engineAnswers reports whether there is a docker command and an engine behind it.
func (c container) engineAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	// Some versions of the command succeed without an engine, and have no version to tell.
	version, err := c.run(ctx, "info", "--format", "{{.ServerVersion}}")
	return err == nil && version != ""
}

// runArgs leave out the password: a command line is for everybody to read, the environment is not.
func (c container) runArgs(cfg Config) []string {
	onOff := map[bool]string{true: "on", false: "off"}[cfg.FSync]
	settings := map[string]string{"fsync": onOff, "full_page_writes": onOff, "max_connections": "200"}
	maps.Copy(settings, cfg.Settings)
	args := []string{
		"run", "--detach", "--rm", "--name", c.name, "--publish", "127.0.0.1::5432",
		"--env", "POSTGRES_USER=" + superuser, "--env", "POSTGRES_PASSWORD", image, "postgres",
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// port asks which port the engine chose.
func (c container) port(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerBudget)
	defer cancel()
	out, err := c.run(ctx, "port", c.name, "5432/tcp")
	if err != nil {
		return 0, err
	}
	return parsePort(out)
}

// parsePort reads "127.0.0.1:49153"; an engine may print a line for each of its addresses.
func parsePort(out string) (int, error) {
	line, _, _ := strings.Cut(out, "\n")
	_, text, err := net.SplitHostPort(strings.TrimSpace(line))
	if err != nil {
		return 0, fmt.Errorf("devdb: read container's port from %q: %w", out, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("devdb: read container's port from %q: expected a number from 1 to 65535", out)
	}
	return int(port), nil
}

// ready waits for the first connection. While the image prepares its data it listens on no address. The log
// is followed: its end is the container's, which takes its log along.
func (c container) ready(ctx context.Context, s *Server) error {
	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	var log bytes.Buffer
	cmd := c.command(follow, "logs", "--follow", c.name)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("devdb: run docker logs: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-done:
			if ctx.Err() == nil {
				return fmt.Errorf("devdb: container %s ended; the end of its log: %s", c.name, tail(log.String()))
			}
		case <-ctx.Done():
			<-done
		case <-time.After(100 * time.Millisecond):
			continue
		}
		return fmt.Errorf("devdb: connect to container %s at 127.0.0.1:%d (is the Docker engine on another machine?): %w: %w; the end of its log: %s",
			c.name, s.port, context.Cause(ctx), err, tail(log.String()))
	}
}

// keep starts the shell that stops the container when we close the pipe, and when we die in any way. It is in
// a process group of its own: a Ctrl-C in the terminal is for us.
func (c container) keep() (stop func() error, err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("devdb: make pipe: %w", err)
	}
	var trouble bytes.Buffer
	cmd := exec.Command("/bin/sh", "-c", `cat >/dev/null; exec "$1" stop "$2" >/dev/null`, "statek-keeper", c.docker, c.name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdin, cmd.Stderr = read, &trouble
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	_ = read.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devdb: run the shell that stops container %s: %w", c.name, err), write.Close())
	}
	return func() error {
		if err := write.Close(); err != nil {
			return fmt.Errorf("devdb: close pipe: %w", err)
		}
		late := time.AfterFunc(stopBudget, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("devdb: stop container %s: %w: %s", c.name, err, tail(trouble.String()))
		}
		return nil
	}, nil
}

// remove clears away what a failed start may have left.
func (c container) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerBudget)
	defer cancel()
	_, _ = c.run(ctx, "rm", "--force", "--volumes", c.name)
}

// run returns what a docker command prints.
func (c container) run(ctx context.Context, args ...string) (string, error) {
	cmd := c.command(ctx, args...)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("devdb: run docker %s: %w: %s", args[0], err, tail(trouble.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func (c container) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.docker, args...)
	cmd.Env = append(os.Environ(), "POSTGRES_PASSWORD="+c.password)
	cmd.WaitDelay = time.Second
	return cmd
}
