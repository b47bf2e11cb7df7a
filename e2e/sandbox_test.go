package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"statek/internal/providers/providertest"
)

// TestHostileCells: a model writes code that no process survives. Its job is told so and goes on; a job beside it,
// with a call under way in the same child, does not notice; the worker lives.
func TestHostileCells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{
		"agents/attacker.md":     modelAgent,
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "const before = new Map([['n', await note('once')]]); const paid = await charge(5); exit([before.get('n').note, paid.receipt, Math.max(before.size, 1)])\n",
	}))
	for _, code := range []string{
		"const hoard = []; for (;;) hoard.push({hoard: [1, 2, 3]})",
		"/^(?=x?)(a+)+$/.test('a'.repeat(40) + 'b')",
		"(() => { let f = () => 1; for (let i = 0; i < 1e6; i++) f = f.bind(null); f() })()",
		"exit(typeof hoard)",
	} {
		w.model.Queue(providertest.Answer{Text: "```js\n" + code + "\n```"})
	}
	w.tools.holding(true)
	worker := w.worker()
	neighbour := w.submit("clerk", nil)
	call := arrives(t, "the neighbour's call", w.tools.arrived)
	attacker := w.submit("attacker", nil)
	for n := range 3 { // each uses up its CPU time, which a busy machine gives slowly
		w.reach(attacker, "cell_ended", n+1)
	}
	w.ended(attacker, `"undefined"`)
	close(call.release)
	w.ended(neighbour, `["once","r1",1]`)

	if worker.ended() {
		t.Error("the worker has ended")
	}
	if n := query[int](w, "select count(*) from statek.history where kind = 'taken_over'"); n != 0 {
		t.Errorf("%d jobs were taken over", n)
	}
	requests := w.model.Requests()
	for i, says := range []string{"memory_bytes", "drain_time", ""} {
		shown := requests[i+1].Messages[len(requests[i+1].Messages)-1].Content
		if !strings.Contains(shown, says) || !strings.Contains(shown, "LimitError") {
			t.Errorf("after attack %d the model was shown %q, want a LimitError that names %s", i+1, shown, says)
		}
	}
	if n := len(w.tools.recorded()); n != 1 {
		t.Errorf("the neighbour's tool was called %d times, want once", n)
	}
}

// TestNoSecretReachesAChild: the processes that run code know no key of a provider or tool and no URL of the
// database, though they are copies of those that do.
func TestNoSecretReachesAChild(t *testing.T) {
	t.Parallel()
	const database = "the-database-password"
	w := newWorld(t, ledger(files{
		"agents/clerk.md":        modelAgent,
		"agents/clerk.warmup.js": "const mark = 'mark of ' + 'the cell'; const paid = await charge(5); exit(paid.receipt)\n",
	}))
	w.tools.holding(true)
	worker := &worker{process: w.start("statek-worker", append([]string{"PGPASSWORD=" + database}, w.env...))}
	worker.begun()
	job := w.submit("clerk", nil)
	call := arrives(t, "the call", w.tools.arrived)
	marked := false
	for name, p := range map[string]*process{"the worker": worker.process, "the API": w.api} {
		children := childrenOf(t, p.cmd.Process.Pid)
		if len(children) == 0 {
			t.Fatalf("%s has no child", name)
		}
		for _, pid := range children {
			image, err := memoryOf(pid)
			if os.Geteuid() != 0 { // equals may not look
				if !errors.Is(err, fs.ErrPermission) {
					t.Errorf("the memory of a child of %s can be read: %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{modelKey, toolSecret, database, w.url} {
				if bytes.Contains(image, []byte(secret)) {
					t.Errorf("a child of %s holds %q", name, secret)
				}
			}
			marked = marked || bytes.Contains(image, []byte("'mark of ' + "))
		}
	}
	if os.Geteuid() == 0 && !marked {
		t.Error("the scan does not find the cell itself")
	}
	if image, err := memoryOf(worker.cmd.Process.Pid); err != nil || !bytes.Contains(image, []byte(modelKey)) {
		t.Errorf("the scan does not find the key in the worker: %v", err)
	}
	close(call.release)
	w.ended(job, `"r1"`)
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range lists {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
}

// memoryOf reads what a process has in memory, but for reservations that nothing backs.
func memoryOf(pid int) ([]byte, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = mem.Close() }()
	var image []byte
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n == 3 && rights[0] == 'r' {
			text, _ := io.ReadAll(io.NewSectionReader(mem, from, min(to-from, 1<<28)))
			image = append(image, text...)
		}
	}
	return image, nil
}

// TestStrictSandbox: it starts with all layers and says so, or it says which the host lacks and ends.
func TestStrictSandbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": "exit(1 + 1)\n"}))
	p := w.start("statek-worker", w.env, "--sandbox=strict")
	said := p.logged("sandbox ready", "statek-worker failed")
	if said["msg"] != "sandbox ready" {
		if p.code() != 1 || !strings.Contains(fmt.Sprint(said["err"]), "this host lacks") {
			t.Errorf("it has not started and says %v", said)
		}
		return
	}
	if said["sandbox"] != "strict" || !strings.Contains(fmt.Sprint(said["layers"]), "seccomp") {
		t.Errorf("%v", said)
	}
	w.ended(w.submit("clerk", nil), "2")
}
