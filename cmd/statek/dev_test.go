package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/config"
	"statek/internal/pgtest"
)

// screen collects output and tells when a line has come.
type screen struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	seen chan struct{} // closed when "Statek is running" was written
	once sync.Once
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(b, []byte("Statek is running")) {
		s.once.Do(func() { close(s.seen) })
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// startDev runs `statek dev` until stop, which returns its exit code.
func startDev(t *testing.T, data, url string) (out, errs *screen, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, errs = &screen{seen: make(chan struct{})}, &screen{seen: make(chan struct{})}
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, []string{
			"dev", "--listen", "127.0.0.1:0", "--data", data, "--database-url", url,
			"--definitions", "testdata/definitions", "--scripted", "testdata/replies",
		}, nil, strings.NewReader(""), out, errs)
	}()
	stopped := false
	stop = func() int { stopped = true; cancel(); return <-exited }
	t.Cleanup(func() {
		if !stopped {
			stop()
		}
	})
	select {
	case <-out.seen:
	case code := <-exited:
		t.Fatalf("statek dev exited %d: %s%s", code, out, errs)
	}
	return out, errs, stop
}

// TestDevAndItsCommands walks the way of a newcomer.
func TestDevAndItsCommands(t *testing.T) {
	t.Parallel()
	data, url := t.TempDir(), pgtest.URL(t, pgtest.Bare)
	out, errs, stop := startDev(t, data, url)
	statek := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := call(t, nil, append(args, "--data", data)...)
		if code != want {
			t.Fatalf("statek %v: got exit %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
		return stdout + stderr
	}
	contains := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("got %s\nwant it to hold %q", text, want)
			}
		}
	}
	contains(out.String(), "created  agent  clerk  version 1", "  API ", "/docs", "env && psql", "Ctrl-C")
	info, err := os.Stat(filepath.Join(data, "env"))
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("got mode %v and %v for the env file, want -rw-------", info.Mode(), err)
	}
	if file, err := config.ReadFile(filepath.Join(data, "env")); err != nil || file["DATABASE_URL"] != url {
		t.Errorf("got %q and %v from the env file, want the database's URL", config.Redact(file["DATABASE_URL"]), err)
	}

	followed := statek(exitOK, "submit", "clerk", "--var", `ticket={"subject":"Invoice"}`, "--tag", "t", "--follow")
	id, _, _ := strings.Cut(followed, "\n")
	contains(followed, "printed:\n                first\n                second {subject: \"Invoice\"}", "succeeded with")
	contains(statek(exitOK, "ls", "--tag", "t"), "ID   ", id+"  clerk  /       DONE succeeded")
	contains(statek(exitOK, "ls", "--tag", "none", "--json"), `"jobs": []`)
	contains(statek(exitOK, "show", id), "clerk version 1", `"subject":"Invoice"`)
	contains(statek(exitOK, "vars", id), "NAME", "TYPE", "BYTES", "filed   Object  32", `"subject":"Invoice"`)
	contains(statek(exitOK, "explain", id), "DONE succeeded")
	contains(statek(exitOK, "agents"), "scripted//clerk")
	if diff := cmp.Diff(followed, id+"\n"+statek(exitOK, "logs", id)); diff != "" {
		t.Errorf("logs differ from what was followed (-followed +logs):\n%s", diff)
	}
	contains(statek(exitOK, "logs", "-f", "--json", id), `"kind":"finished"`)

	sleeper := strings.TrimSpace(statek(exitOK, "submit", "clerk", "--var", "ticket=1", "--warmup", "await message()"))
	statek(exitOK, "cancel", sleeper, "--reason", "enough")
	contains(statek(exitOK, "logs", "-f", sleeper), "cancelled: enough")
	contains(statek(exitFailure, "push", sleeper, "hello"), "409")

	asker := strings.TrimSpace(statek(exitOK, "submit", "clerk", "--var", "ticket=1", "--warmup", "exit(await approval({title: 'Pay?', args: {n: 1}}))"))
	question := ""
	for question == "" {
		if list := statek(exitOK, "approvals", "--json"); strings.Contains(list, "Pay?") {
			question = regexp.MustCompile(`"id": "([^"]+)"`).FindStringSubmatch(list)[1]
		}
	}
	contains(statek(exitOK, "explain", asker), `waits for approval({"title":"Pay?"`, "a person: select statek.decide(")
	contains(statek(exitOK, "approvals"), question, "pending", "Pay?", "approve, reject")
	contains(statek(exitFailure, "decide", question, "--option", "perhaps", "--by", "ada"), "approve, reject", "422")
	contains(statek(exitUsage, "decide", question, "--option", "approve"), "--by")
	contains(statek(exitUsage, "decide", question, "--option", "approve", "--by", "ada", "--args", "{"), "JSON")
	contains(statek(exitOK, "decide", question, "--option", "approve", "--args", `{"n":2}`, "--comment", "fine", "--by", "ada"), `"args":{"n":2}`, `"by":"ada"`)
	contains(statek(exitFailure, "decide", question, "--option", "reject", "--by", "eve"), "was decided by ada", "409")
	contains(statek(exitOK, "approvals", "--status", "all"), "decided", "ada: ")
	contains(statek(exitOK, "logs", "-f", asker), `"by": "ada"`, "succeeded with")

	contains(statek(exitFailure, "submit", "clerk"), "shared_vars.ticket", "422")
	contains(statek(exitFailure, "submit", "nobody"), `"nobody"`, "404")
	contains(statek(exitFailure, "ls", "--cursor", "wrong"), "cursor", "422")
	contains(statek(exitOK, "emit", "paid", `{"n":1}`, "--key", "k")+statek(exitOK, "emit", "paid", "--key", "k"), "was there before")
	contains(statek(exitOK, "objects", "put", "docs", "eu/1", `{"n": 1.0}`, "--expect", "0"), "version 1")
	contains(statek(exitFailure, "objects", "put", "docs", "eu/1", "2", "--expect", "0"), "object docs/eu/1 is at version 1, expected none", "412")
	contains(statek(exitOK, "objects", "put", "docs", "eu/1", "2", "--expect", "1"), "version 2")
	contains(statek(exitOK, "objects", "get", "docs", "eu/1", "--version", "1"), `{"n": 1.0}`, "version 1, ", "by api")
	contains(statek(exitOK, "objects", "ls", "docs", "--begins", "eu/"), "KEY ", "eu/1  2 ")
	contains(statek(exitUsage, "objects", "put", "docs", "a", "{oops"), "expected the object's value to be JSON")
	contains(statek(exitUsage, "objects", "delete", "docs", "a", "--expect", "new"), "expected --expect to be a version")
	statek(exitOK, "objects", "delete", "docs", "eu/1", "--expect", "2")
	contains(statek(exitFailure, "objects", "get", "docs", "eu/1"), "there is no object docs/eu/1", "404")
	contains(statek(exitOK, "apply", "testdata/definitions"), "unchanged  agent  clerk  version 1")
	contains(statek(exitFailure, "apply", brokenDefinitions(t)), "agents/clerk.md:")
	contains(statek(exitOK, "migrate", "status"), "statek  1        jobs")

	if code := stop(); code != exitOK {
		t.Errorf("got exit %d from statek dev, want 0: %s", code, errs)
	}
	contains(out.String(), "stopped")
	if secret := regexp.MustCompile(`://[^:@/]+:([^@]+)@`).FindStringSubmatch(url); secret != nil && strings.Contains(out.String()+errs.String(), secret[1]) {
		t.Error("statek dev printed the database's password")
	}
}

func brokenDefinitions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "agents"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "# MODEL: gpt-5-mini\n# TEMPERATURE: hot\n# System Prompt\nHello.\n"
	if err := os.WriteFile(filepath.Join(dir, "agents", "clerk.md"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestFollowedStandstillFails: a job that was paused waits for a person, and a script must not wait with it.
func TestFollowedStandstillFails(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	startDev(t, data, pgtest.URL(t))
	code, stdout, stderr := call(t, nil, "submit", "idle", "--follow", "--data", data)
	if code != exitFailure || !strings.Contains(stdout, "paused: ") || !strings.Contains(stderr, "`statek resume ") {
		t.Errorf("got exit %d, want 1 and how to go on: %s%s", code, stdout, stderr)
	}
}
