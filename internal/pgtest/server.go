package pgtest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"statek/internal/devdb"
	"statek/internal/queue"
	"statek/migrations"
)

// process holds this process's server. It is the one variable of the package: tests of one binary share
// nothing else through which they could find it.
var process holder

type holder struct {
	mu     sync.Mutex
	tried  bool
	server *server
	err    error
}

// server is where the databases are made.
type server struct {
	admin string // DSN of a user that may create databases
	key   string // names the migrations
	close func() error

	mu     sync.Mutex
	count  int
	shared string
}

func (h *holder) get() (*server, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.tried {
		h.tried = true
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		h.server, h.err = start(ctx)
	}
	return h.server, h.err
}

func (h *holder) stop() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server == nil {
		return nil
	}
	s := h.server
	h.server, h.err = nil, errors.New("pgtest: the server has been stopped")
	return errors.Join(s.dropShared(), s.close())
}

// start finds the server: TEST_DATABASE_URL, else Docker, else local binaries.
func start(ctx context.Context) (*server, error) {
	key, err := migrationsKey()
	if err != nil {
		return nil, err
	}
	s := &server{key: key, close: func() error { return nil }}
	switch url := os.Getenv("TEST_DATABASE_URL"); {
	case url != "":
		s.admin = url
		if err := s.dropStale(ctx); err != nil {
			return nil, err
		}
	default:
		err = s.startOwn(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := s.ensureTemplate(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *server) startOwn(ctx context.Context) error {
	// Prepared transactions: the proof that no wake-up is lost covers them.
	settings := map[string]string{"synchronous_commit": "off", "max_prepared_transactions": "20"}
	if dockerAnswers(ctx) {
		var err error
		s.admin, s.close, err = startContainer(ctx, settings)
		return err
	}
	dir, seed, err := s.folders(ctx)
	if err != nil {
		return err
	}
	db, err := devdb.Start(ctx, devdb.Config{
		Dir: dir, Seed: seed, Settings: settings, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	s.admin = db.URL("postgres")
	s.close = func() error {
		return errors.Join(db.Stop(), removeAll(db.Dir), removeAll(dir))
	}
	return nil
}

func removeAll(dir string) error {
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// folders makes the folder of this process's server and names the seed it starts from. Without any
// PostgreSQL both are useless, and the start of the server says so.
func (s *server) folders(ctx context.Context) (dir, seed string, err error) {
	installed, err := devdb.Installed(ctx)
	if err != nil {
		return "", "", err
	}
	if installed == "" {
		return "", "", devdb.ErrNoPostgres
	}
	// Folders of processes that were killed.
	scratch := scratchFolder()
	old, err := filepath.Glob(filepath.Join(scratch, "statek-pgtest-*"))
	if err != nil {
		return "", "", fmt.Errorf("pgtest: list old folders: %w", err)
	}
	for _, path := range old {
		if olderThan(path, time.Minute) {
			_ = devdb.Remove(path) // another user's, or taken: not ours to remove
		}
	}
	if seed, err = s.seed(ctx, installed); err != nil {
		return "", "", err
	}
	if dir, err = os.MkdirTemp(scratch, "statek-pgtest-"); err != nil {
		return "", "", fmt.Errorf("pgtest: make folder: %w", err)
	}
	return dir, seed, os.Chmod(dir, 0o755) // the server may run as another user
}

// scratchFolder is in memory where there is plenty: on a disk, copying the thousand files of a seed has taken
// two seconds.
func scratchFolder() string {
	const memory, plenty = "/dev/shm", 2 << 30
	var disk syscall.Statfs_t
	if err := syscall.Statfs(memory, &disk); err == nil && disk.Bavail*uint64(disk.Bsize) > plenty {
		return memory
	}
	return os.TempDir()
}

// seed returns the folder of a stopped server that has the template, and makes it if this is the first run
// with these migrations. A file tells where it is: the server's user may not be able to enter the cache.
func (s *server) seed(ctx context.Context, installed string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "statek-pgtest")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("pgtest: make cache folder: %w", err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	sum := sha256.Sum256([]byte(s.key + installed))
	mark := filepath.Join(cache, hex.EncodeToString(sum[:8])+".seed")
	if dir, err := os.ReadFile(mark); err == nil {
		if _, err := os.Stat(filepath.Join(string(dir), "pg", "PG_VERSION")); err == nil {
			now := time.Now()
			return string(dir), os.Chtimes(mark, now, now)
		}
	}
	dropOldSeeds(cache)
	return s.makeSeed(ctx, mark)
}

func (s *server) makeSeed(ctx context.Context, mark string) (string, error) {
	db, err := devdb.Start(ctx, devdb.Config{Dir: mark + ".data", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", err
	}
	maker := &server{admin: db.URL("postgres"), key: s.key}
	if err := errors.Join(maker.ensureTemplate(ctx), db.Stop()); err != nil {
		return "", err
	}
	if err := os.WriteFile(mark, []byte(db.Dir), 0o644); err != nil {
		return "", fmt.Errorf("pgtest: keep seed: %w", err)
	}
	return db.Dir, nil
}

// dropOldSeeds removes the seeds of migrations that nobody has tested for hours.
func dropOldSeeds(cache string) {
	marks, err := filepath.Glob(filepath.Join(cache, "*.seed"))
	if err != nil {
		return
	}
	for _, mark := range marks {
		dir, err := os.ReadFile(mark)
		if err != nil || !olderThan(mark, 3*time.Hour) {
			continue
		}
		if os.Remove(mark) == nil {
			_ = devdb.Remove(string(dir))
			_ = os.RemoveAll(mark + ".data")
		}
	}
}

func olderThan(path string, age time.Duration) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()) > age
}

// lock makes test processes that start together take turns.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("pgtest: open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: lock: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// migrationsKey names the content of all migrations, River's and ours.
func migrationsKey() (string, error) {
	river, err := queue.MigrationsHash()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, river)
	names, err := fs.Glob(migrations.FS, "*.up.sql")
	for _, name := range names {
		text, readErr := fs.ReadFile(migrations.FS, name)
		err = cmp.Or(err, readErr)
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
	}
	// Partitions are made for the coming months, so a template is good for one.
	fmt.Fprintln(h, time.Now().UTC().Format("2006-01"))
	return hex.EncodeToString(h.Sum(nil)[:8]), err
}
