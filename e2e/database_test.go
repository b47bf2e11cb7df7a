package e2e

import (
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"statek/internal/devdb"
	"statek/internal/pgtest"
)

// TestDatabaseDownAtStartAndLater: API and worker start before their database, live through its absence, and
// go on by themselves.
func TestDatabaseDownAtStartAndLater(t *testing.T) {
	t.Parallel()
	db := newOwnDatabase(t)
	w := newBareWorld(t, db.url)
	db.stop() // from now on there is an address, and nobody there
	w.startAPI()
	worker := &worker{process: w.start("statek-worker", w.env)}
	if code, err := w.ready(); code != http.StatusServiceUnavailable {
		t.Errorf("got %d and %v from /readyz without a database, want 503", code, err)
	}
	if status, kind, body := send(t, "GET", w.base+"/v1/jobs", ""); status != 503 || kind != "application/problem+json" {
		t.Errorf("got %d %s without a database: %s", status, kind, body)
	}
	worker.logged("waiting for the database")
	db.start()
	w.isReady(true)
	worker.begun()
	w.pool.Reset()
	w.sql(ledgerSchema)
	w.statek(0, "apply", folder(t, ledger(files{
		"agents/picker.md":        modelAgent,
		"agents/picker.warmup.js": "print('before')\nconst task = await pickNextTask('q')\nexit(task.subject)\n",
		"agents/napper.md":        modelAgent,
		"agents/napper.warmup.js": "await sleep(1500)\nexit('slept')\n",
	})))
	napper := w.submit("napper", nil)
	w.asleep(napper)
	for _, outage := range []struct {
		name string
		lost func() // waits until the outage has been long enough
		over func()
	}{
		{"short", func() {}, func() {}},
		// So long that the worker gives its jobs up and begins a new life.
		{"long", func() { worker.logged("the worker waits for the database") }, worker.begun},
	} {
		job := w.submit("picker", nil)
		w.asleep(job)
		db.stop()
		w.isReady(false)
		outage.lost()
		db.start()
		back := time.Now()
		w.isReady(true)
		w.pool.Reset()
		w.sql("insert into app.tasks (queue, subject) values ('q', 'after the outage')")
		w.ended(job, `"after the outage"`)
		t.Logf("%s outage: the waiting job ended %s after the database was back", outage.name, time.Since(back).Round(time.Millisecond))
		outage.over()
		if n := count(w.history(job), "console"); n != 1 {
			t.Errorf("the line before the outage was recorded %d times, want once", n)
		}
	}
	w.ended(napper, `"slept"`)
	for _, p := range []*process{w.api, worker.process} {
		t.Logf("%s wrote %d lines", p.name, p.out.lines())
		if n := p.out.lines(); n > 60 { // each part says once what it lacks; River says it at every attempt, until its life ends

			t.Errorf("%s wrote %d lines about two outages:\n%s", p.name, n, p.out)
		}
	}
}

// ready asks the API whether it is.
func (w *world) ready() (int, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	res, err := client.Get(w.base + "/readyz")
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// isReady waits for the API to be, or not to be; nothing announces it.
func (w *world) isReady(want bool) {
	w.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for over := time.After(patience); ; {
		code, err := w.ready()
		if want && code == http.StatusOK || !want && code == http.StatusServiceUnavailable {
			return
		}
		select {
		case <-ticker.C:
		case <-over:
			w.t.Fatalf("/readyz says %d (%v), want ready = %t", code, err, want)
		}
	}
}

// ownDatabase is a database that a test may take away and give back under the same address. With local binaries it is
// a server that stops and starts; with any other server it is the way there that is cut, and its sessions ended.
type ownDatabase struct {
	t      *testing.T
	url    string // leads through the wire
	wire   *pgtest.Wire
	dir    string
	server *devdb.Server // nil: not ours
}

// newOwnDatabase starts a server with a migrated database.
func newOwnDatabase(t *testing.T) *ownDatabase {
	t.Helper()
	installed, err := devdb.Installed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := &ownDatabase{t: t}
	if installed == "" || os.Getenv("TEST_DATABASE_URL") != "" {
		db.wire = pgtest.NewWire(t, pgtest.URL(t))
		db.url = db.wire.URL()
		return db
	}
	db.dir = openFolder(t)
	t.Cleanup(func() { db.stop() })
	db.launch()
	if err := db.server.EnsureDatabase(t.Context(), "statek"); err != nil {
		t.Fatal(err)
	}
	if err := pgtest.Migrate(t.Context(), db.server.URL("statek")); err != nil {
		t.Fatal(err)
	}
	db.wire = pgtest.NewWire(t, db.server.URL("statek"))
	db.url = db.wire.URL()
	return db
}

func (db *ownDatabase) launch() {
	db.t.Helper()
	server, err := devdb.Start(db.t.Context(), devdb.Config{Dir: db.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		db.t.Fatal(err)
	}
	db.server = server
}

func (db *ownDatabase) start() {
	db.t.Helper()
	if db.dir != "" {
		db.launch()
		u, err := url.Parse(db.server.URL("statek"))
		if err != nil {
			db.t.Fatal(err)
		}
		db.wire.Lead(u.Host) // its port may have been taken meanwhile
	}
	db.wire.Restore()
}

func (db *ownDatabase) stop() {
	db.t.Helper()
	if db.server == nil {
		db.wire.Cut()
		return
	}
	if err := db.server.Stop(); err != nil {
		db.t.Error(err)
	}
}

// openFolder is a temporary folder that the server's user can enter, unlike those of the testing package.
func openFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "statek-e2e-data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}
