package devdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// local is the start of a server from local binaries.
type local struct {
	cfg    Config
	bin    binaries
	user   account
	home   string
	logger *slog.Logger
}

func (l *local) data() string     { return filepath.Join(l.home, "pg") }
func (l *local) logFile() string  { return filepath.Join(l.home, "postgres.log") }
func (l *local) secret() string   { return filepath.Join(l.home, "password") }
func (l *local) portFile() string { return filepath.Join(l.home, "port") }

func startLocal(ctx context.Context, cfg Config, found []binaries) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("devdb: expected Dir to be set, got none")
	}
	user, err := serverAccount()
	if err != nil {
		return nil, err
	}
	home, err := user.home(cfg.Dir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	l := &local{cfg: cfg, user: user, home: home, logger: cfg.Logger}
	if l.bin, err = choose(found, l.data()); err != nil {
		return nil, err
	}
	lock, joined, err := l.lockOrJoin(ctx)
	if err != nil || joined != nil {
		return joined, err
	}
	server, err := l.start(ctx)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if stop := server.stop; stop != nil {
		server.stop = func() error { return errors.Join(stop(), lock.Close()) }
	} else {
		server.stop = lock.Close
	}
	return server, nil
}

// Remove deletes the folder of a server, unless some process holds it or its server still runs.
func Remove(dir string) error {
	lock, err := tryLock(filepath.Join(dir, "lock"))
	if err != nil || lock == nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if (&local{home: dir}).alive() {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("devdb: remove folder: %w", err)
	}
	return nil
}

// lockOrJoin takes the folder for this process, or joins the server that another process runs in it.
func (l *local) lockOrJoin(ctx context.Context) (*os.File, *Server, error) {
	for {
		lock, err := tryLock(filepath.Join(l.home, "lock"))
		if err != nil || lock != nil {
			return lock, nil, err
		}
		if server := l.running(ctx); server != nil {
			l.logger.Info("using the PostgreSQL that another process runs", "folder", l.home, "port", server.port)
			return nil, server, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, nil, fmt.Errorf("devdb: wait for the process that holds %s: %w", l.home, err)
		}
	}
}

// start runs with the folder locked.
func (l *local) start(ctx context.Context) (*Server, error) {
	// A server that outlived its process by a moment is on its way out; one started by hand is joined.
	for l.alive() {
		if server := l.running(ctx); server != nil && sleep(ctx, 300*time.Millisecond) == nil && l.running(ctx) != nil {
			l.logger.Info("using the PostgreSQL that runs in the folder", "folder", l.home, "port", server.port)
			return server, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, fmt.Errorf("devdb: wait for the old server of %s to end: %w", l.home, err)
		}
	}
	if err := os.Remove(filepath.Join(l.data(), "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("devdb: remove stale postmaster.pid: %w", err)
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	password, err := os.ReadFile(l.secret())
	if err != nil {
		return nil, fmt.Errorf("devdb: read password: %w", err)
	}
	for attempt := 1; ; attempt++ {
		port, err := l.port()
		if err != nil {
			return nil, err
		}
		server := &Server{Dir: l.home, host: "127.0.0.1", port: port, password: string(password)}
		err = l.launch(ctx, server)
		if err == nil {
			l.logger.Info("PostgreSQL is running", "folder", l.home, "port", port, "version", l.bin.major)
			return server, nil
		}
		// Another program may take the port between our look and the server's.
		if !errors.Is(err, errPortTaken) || attempt == 5 {
			return nil, err
		}
	}
}

// running connects to the server that postmaster.pid tells of; nil when it does not answer.
func (l *local) running(ctx context.Context) *Server {
	password, err := os.ReadFile(l.secret())
	if err != nil {
		return nil
	}
	lines := l.pidFile()
	if len(lines) < 4 {
		return nil
	}
	port, err := strconv.Atoi(strings.TrimSpace(lines[3]))
	if err != nil {
		return nil
	}
	server := &Server{Dir: l.home, host: "127.0.0.1", port: port, password: string(password)}
	if server.ping(ctx) != nil {
		return nil
	}
	return server
}

func (l *local) pidFile() []string {
	text, err := os.ReadFile(filepath.Join(l.data(), "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// alive reports whether postmaster.pid names a process that is a PostgreSQL server: after a crash of the
// machine, or in a new container, its number may belong to anything.
func (l *local) alive() bool {
	lines := l.pidFile()
	if len(lines) == 0 {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 0 {
		return false
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		return strings.HasPrefix(string(name), "postgres")
	}
	out, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres")
}

// prepare makes the data folder unless there is one.
func (l *local) prepare(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(l.data(), "PG_VERSION")); err == nil {
		return nil
	}
	// What is here is the rest of a preparation that was interrupted: PG_VERSION comes with the rename.
	fresh := l.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("devdb: clear half-made data folder: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("devdb: make data folder: %w", err)
	}
	if err := l.user.own(fresh); err != nil {
		return fmt.Errorf("devdb: give data folder to %s: %w", l.user.name, err)
	}
	fill := l.initdb
	if l.cfg.Seed != "" {
		fill = l.copySeed
	}
	if err := fill(ctx, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, l.data()); err != nil {
		return fmt.Errorf("devdb: put data folder in place: %w", err)
	}
	return nil
}

func (l *local) initdb(ctx context.Context, fresh string) error {
	password := rand.Text()
	pwfile := filepath.Join(fresh, "..", "pwfile")
	defer func() { _ = os.Remove(pwfile) }()
	for _, path := range []string{l.secret(), pwfile} {
		if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
			return fmt.Errorf("devdb: write password: %w", err)
		}
	}
	if err := l.user.own(pwfile); err != nil {
		return fmt.Errorf("devdb: give password file to %s: %w", l.user.name, err)
	}
	return l.tool(ctx, filepath.Join(l.bin.dir, "initdb"), "-D", fresh, "-U", superuser, "--pwfile", pwfile,
		"-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=4")
}

func (l *local) copySeed(ctx context.Context, fresh string) error {
	password, err := os.ReadFile(filepath.Join(l.cfg.Seed, "password"))
	if err != nil {
		return fmt.Errorf("devdb: read seed: %w", err)
	}
	if err := os.WriteFile(l.secret(), password, 0o600); err != nil {
		return fmt.Errorf("devdb: write password: %w", err)
	}
	return l.tool(ctx, "cp", "-R", filepath.Join(l.cfg.Seed, "pg")+"/.", fresh)
}

// tool runs a command as the server's user.
func (l *local) tool(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	l.user.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("devdb: run %s: %w: %s", filepath.Base(name), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// port is the one used last time if it is free, so that a DSN someone has written down stays right.
func (l *local) port() (int, error) {
	if text, err := os.ReadFile(l.portFile()); err == nil {
		if ln, err := net.Listen("tcp", "127.0.0.1:"+strings.TrimSpace(string(text))); err == nil {
			port := ln.Addr().(*net.TCPAddr).Port
			return port, ln.Close()
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("devdb: find a free port: %w", err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := ln.Close(); err != nil {
		return 0, fmt.Errorf("devdb: find a free port: %w", err)
	}
	return port, os.WriteFile(l.portFile(), []byte(strconv.Itoa(port)), 0o644)
}

// settings are the server's command line.
func (l *local) settings(port int) []string {
	onOff := map[bool]string{true: "on", false: "off"}[l.cfg.FSync]
	all := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		"shared_buffers":          "64MB",
		"fsync":                   onOff,
		"full_page_writes":        onOff,
	}
	maps.Copy(all, l.cfg.Settings)
	args := []string{"-D", l.data()}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "-c", name+"="+all[name])
	}
	return args
}
