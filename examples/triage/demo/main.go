// Command demo shows the life of two kinds of job: a direct one, and one that waits for rows of an
// application's table. It starts bin/statek dev with one API and two workers, and stays up unless -once.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := demo{here: "examples/triage"}
	flag.BoolVar(&d.once, "once", false, "exit when both parts are done")
	flag.StringVar(&d.listen, "listen", "127.0.0.1:8080", "address of the API")
	flag.StringVar(&d.data, "data", ".statek", "folder of the private database")
	flag.StringVar(&d.bin, "bin", "bin/statek", "the program; make build makes it")
	flag.Parse()
	if err := d.run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	once         bool
	listen, data string
	bin          string // path of statek
	here         string // the example's folder
	url          string
	db           *pgx.Conn
}

func (d *demo) run(ctx context.Context) error {
	s, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	defer func() { _ = d.db.Close(context.WithoutCancel(ctx)) }()
	for _, part := range []func(context.Context) error{d.prepare, d.direct, d.queueBacked, d.look} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if d.once {
		return nil
	}
	fmt.Printf("\nThe server stays up: try the statements above, or\n  bin/statek ls\n  %s/docs\nCtrl-C stops it.\n", d.url)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.done:
		s.done <- err
		return fmt.Errorf("the server ended: %w", err)
	}
}

// server is the bin/statek dev that this program started.
type server struct {
	cmd  *exec.Cmd
	done chan error
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(40 * time.Second):
		_ = s.cmd.Process.Kill()
	}
}

// start runs the server and waits until it has written its env file and answers.
func (d *demo) start(ctx context.Context) (*server, error) {
	title("1 API and 2 workers: bin/statek dev")
	env := filepath.Join(d.data, "env")
	_ = os.Remove(env)
	s := &server{done: make(chan error, 1)}
	s.cmd = exec.Command(d.bin, "dev", "--listen", d.listen, "--data", d.data, "--workers", "2",
		"--scripted", filepath.Join(d.here, "replies"))
	s.cmd.Stdout, s.cmd.Stderr = os.Stdout, os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours to pass on
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start bin/statek (make build makes it): %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	give := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.stop()
			return nil, ctx.Err()
		case err := <-s.done:
			return nil, fmt.Errorf("bin/statek dev ended: %w", err)
		case <-give:
			s.stop()
			return nil, errors.New("bin/statek dev did not become ready in two minutes")
		case <-tick.C:
		}
		if d.connect(ctx, env) == nil {
			return s, nil
		}
	}
}

func (d *demo) connect(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = value
		}
	}
	resp, err := http.Get(values["STATEK_URL"] + "/readyz")
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", resp.Status)
	}
	d.url = values["STATEK_URL"]
	d.db, err = pgx.Connect(ctx, values["DATABASE_URL"])
	return err
}

// prepare makes the application's tables, then applies the definitions that watch them.
func (d *demo) prepare(ctx context.Context) error {
	title("the application's tables (examples/triage/schema.sql) and the definitions")
	schema, err := os.ReadFile(filepath.Join(d.here, "schema.sql"))
	if err != nil {
		return err
	}
	if _, err := d.db.Exec(ctx, string(schema)); err != nil {
		return fmt.Errorf("make the application's tables: %w", err)
	}
	return d.command(ctx, "apply", filepath.Join(d.here, "definitions"), "--prefix", "/acme/triage")
}

// command runs bin/statek against the server of this demo.
func (d *demo) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, d.bin, args...)
	cmd.Env = append(os.Environ(), "STATEK_URL="+d.url, "DATABASE_URL="+d.db.Config().ConnString())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bin/statek %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (d *demo) direct(ctx context.Context) error {
	title("(a) a direct job: the warmup prints the event, the model triages it")
	id, err := d.submit(ctx, "direct.json")
	if err != nil {
		return err
	}
	return d.follow(ctx, id)
}

const waiting = 3

func (d *demo) queueBacked(ctx context.Context) error {
	// Jobs of an earlier demo on the same database may still wait for the queue.
	queue := fmt.Sprintf("support-%d", time.Now().Unix())
	title(fmt.Sprintf("(b) %d jobs whose warmup awaits pickNextTask(queue): they are put to sleep", waiting))
	ids := make([]string, waiting)
	for i := range ids {
		var err error
		if ids[i], err = d.submit(ctx, "queue.json", `"support"`, `"`+queue+`"`); err != nil {
			return err
		}
	}
	if err := d.poll(ctx, "the jobs go to sleep", func() (bool, error) {
		n, err := d.sleepers(ctx, ids)
		return n == waiting, err
	}); err != nil {
		return err
	}
	if err := d.table(ctx, "select id, status, blocked_why from statek.blocked_jobs order by id desc limit 3"); err != nil {
		return err
	}
	insert := fmt.Sprintf("insert into app.tasks (queue, subject) values ('%s', 'Charged twice for the same invoice')", queue)
	title("one plain INSERT wakes exactly one of them\n   " + insert)
	if err := d.psql(ctx, insert); err != nil {
		return err
	}
	var woken string
	var after time.Duration
	if err := d.poll(ctx, "a job wakes", func() (bool, error) {
		err := d.db.QueryRow(ctx, `select h.job_id::text, h.at - t.created_at from statek.history h, app.tasks t
			where h.job_id::text = any($1) and h.kind = 'call_settled' and t.queue = $2 order by h.at limit 1`, ids, queue).Scan(&woken, &after)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	fmt.Printf("job %s went on %s after the INSERT\n\n", woken, after.Round(100*time.Microsecond))
	if err := d.follow(ctx, woken); err != nil {
		return err
	}
	n, err := d.sleepers(ctx, ids)
	if err == nil && n != waiting-1 {
		err = fmt.Errorf("%d jobs still wait, expected %d", n, waiting-1)
	}
	if err == nil {
		fmt.Printf("the other %d still wait; they cost rows, no memory and no queries\n", n)
	}
	return err
}

func (d *demo) sleepers(ctx context.Context, ids []string) (n int, err error) {
	err = d.db.QueryRow(ctx, "select count(*) from statek.blocked_jobs where id::text = any($1) and status = 'SUSPENDED'", ids).Scan(&n)
	return n, err
}

// poll asks until the answer is yes.
func (d *demo) poll(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}

// psql runs a statement as a person would; without psql on this machine, over the demo's own connection.
func (d *demo) psql(ctx context.Context, statement string) error {
	path, err := exec.LookPath("psql")
	if err != nil {
		_, err := d.db.Exec(ctx, statement)
		return err
	}
	cmd := exec.CommandContext(ctx, path, "-X", "-q", "-d", d.db.Config().ConnString(), "-c", statement)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func (d *demo) look(ctx context.Context) error {
	for _, q := range []string{
		"select id, agent, status, outcome, blocked_on, result from statek.job_overview order by id desc limit 4",
		"select t.seq, t.what from statek.job_timeline t where t.job_id = (select id from statek.job_overview where status = 'DONE' order by id desc limit 1) order by t.seq",
		"select subject, team, priority from app.triage order by decided_at desc limit 2",
	} {
		title("look at it with SQL\n   " + q + ";")
		if err := d.table(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

// submit posts a request file, with replacements, and returns the job's id.
func (d *demo) submit(ctx context.Context, file string, replace ...string) (string, error) {
	file = filepath.Join(d.here, file)
	body, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	body = []byte(strings.NewReplacer(replace...).Replace(string(body)))
	fmt.Println("POST /v1/agents/triage_agent/jobs <", file)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/v1/agents/triage_agent/jobs", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var job struct{ ID string }
	if err := json.Unmarshal(answer, &job); err != nil || resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("submit: %s: %s", resp.Status, answer)
	}
	return job.ID, nil
}

// follow prints a job's history as it happens, until the job has ended, and wants it to have succeeded.
func (d *demo) follow(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := d.command(ctx, "logs", "-f", id); err != nil {
		return err
	}
	var outcome string
	if err := d.db.QueryRow(ctx, "select coalesce(outcome, status) from statek.job_overview where id::text = $1", id).Scan(&outcome); err != nil {
		return err
	}
	if outcome != "succeeded" {
		return fmt.Errorf("job %s: %s", id, outcome)
	}
	return nil
}

// table prints a query's rows as JSON.
func (d *demo) table(ctx context.Context, query string) error {
	rows, err := d.db.Query(ctx, "select row_to_json(q)::text from ("+query+") q")
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, line := range lines {
		fmt.Println("  ", line)
	}
	return err
}

func title(text string) { fmt.Printf("\n\033[1m── %s\033[0m\n", text) }
