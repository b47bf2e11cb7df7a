package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bouncer starts PgBouncer in transaction mode before a database and returns the DSN to it, which holds no settings
// but the address. It runs until the test ends. Without the program the test is skipped, and in CI it fails:
// scripts/need-pgbouncer.sh installs it.
func Bouncer(t testing.TB, dsn string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal("pgtest: pgbouncer is not installed; scripts/need-pgbouncer.sh does it")
	case err != nil:
		t.Skip("pgbouncer is not installed; scripts/need-pgbouncer.sh does it")
	}
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatalf("pgtest: read DSN: %v", err)
	}
	port := freePort(t)
	dir, err := os.MkdirTemp(scratchFolder(), "statek-pgbouncer-")
	if err != nil {
		t.Fatalf("pgtest: make folder: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%d user=%s password='%s'\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\n"+
		"unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 12\nmax_client_conn = 500\n",
		server.Host, server.Port, server.User, strings.ReplaceAll(server.Password, "'", "''"), port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatalf("pgtest: write configuration: %v", err)
	}
	cmd := exec.Command(program, config) //nolint:gosec // the program that was looked for
	if os.Getuid() == 0 {                // it refuses to run as root
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{}}}
		for _, path := range []string{dir, config} {
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatalf("pgtest: give pgbouncer its folder: %v", err)
			}
		}
	}
	run(t, cmd)
	u := url.URL{Scheme: "postgres", User: url.UserPassword(server.User, "any"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		Path: "/" + server.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

// run starts the pooler, waits until it is up, and stops it when the test ends.
func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("pgtest: start pgbouncer: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("pgtest: start pgbouncer: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "process up") {
			go func() { _, _ = io.Copy(io.Discard, output) }() // until it ends
			return
		}
	}
	t.Fatalf("pgtest: pgbouncer did not come up:\n%s", said.String())
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("pgtest: find a port: %v", err)
	}
	defer func() { _ = l.Close() }()
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}
