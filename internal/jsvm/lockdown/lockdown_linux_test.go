package lockdown_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm/lockdown"
)

// TestReport: each layer is either in force or missing with a reason, whoever applies it.
func TestReport(t *testing.T) {
	t.Parallel()
	for _, uid := range identities() {
		all := try(t, order{Do: "work"}, uid).report
		var layers []lockdown.Layer
		for _, m := range all.Missing {
			layers = append(layers, m.Layer)
			t.Logf("as uid %d without %s: %s", uid, m.Layer, m.Why)
		}
		if got := slices.Concat(all.Applied, layers); len(got) != len(lockdown.Layers()) {
			t.Errorf("as uid %d, reported %v, want each of %v once", uid, got, lockdown.Layers())
		}
		skipped := try(t, order{Do: "list descriptors", Skip: lockdown.Layers()}, uid).report
		if len(skipped.Applied) != 0 || len(skipped.Missing) != len(lockdown.Layers()) {
			t.Errorf("as uid %d, left all out and got %+v", uid, skipped)
		}
	}
}

// TestRuntimeWorks: under all layers Go's runtime does everything it does elsewhere, for a while.
func TestRuntimeWorks(t *testing.T) {
	t.Parallel()
	for _, uid := range identities() {
		if got := try(t, order{Do: "work"}, uid); !got.did {
			t.Errorf("as uid %d the runtime was stopped: %s", uid, got.how)
		}
	}
}

// TestDescriptorsAreClosed, but those of Go's poller, which the children of this test have.
func TestDescriptorsAreClosed(t *testing.T) {
	t.Parallel()
	for untouched, want := range map[bool]bool{true: false, false: true} {
		if got := try(t, order{Do: "list descriptors", Untouched: untouched, Skip: lockdown.Layers()}, os.Getuid()); got.did != want {
			t.Errorf("untouched: %v, open: %s", untouched, got.how)
		}
	}
}

// TestDeathsAreTold: a process that runs out of something says so and ends by itself, as it would without the filter.
func TestDeathsAreTold(t *testing.T) {
	t.Parallel()
	deaths := map[string]string{"exhaust the stack": "stack overflow", "exhaust the memory": "out of memory"}
	if lockdown.Sanitized {
		delete(deaths, "exhaust the memory") // without the limit there may be enough
	}
	for job, want := range deaths {
		cmd := command(t.Context(), t, order{Do: job}, os.Getuid())
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Run(); cmd.ProcessState.ExitCode() != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %v, want exit status 2 and %q\n%s", job, err, want, &errs)
		}
	}
}

// TestEveryThread: what the kernel holds against a child, it holds against all its threads.
func TestEveryThread(t *testing.T) {
	t.Parallel()
	for _, uid := range identities() {
		cmd := begin(t, order{Do: "wait"}, uid)
		pid := cmd.Process.Pid
		id := strconv.Itoa(uid)
		if uid == 0 {
			id = strconv.Itoa(0x70000000 + pid)
		}
		want := map[string]string{
			"Uid": strings.Repeat(id+" ", 4), "Gid": strings.Repeat(id+" ", 4), "Groups": "",
			"CapInh": "0", "CapPrm": "0", "CapEff": "0", "CapAmb": "0", "NoNewPrivs": "1", "Seccomp": "2",
		}
		if uid == os.Getuid() && uid != 0 {
			delete(want, "Gid") // theirs, and they keep it
			delete(want, "Groups")
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil || len(tasks) < 4 {
			t.Fatalf("a child with %d threads, %v", len(tasks), err)
		}
		for _, task := range tasks {
			if diff := cmp.Diff(want, status(t, task, want)); diff != "" {
				t.Errorf("thread %s, as uid %d (-want +got):\n%s", task, uid, diff)
			}
		}
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		if err != nil || string(score) != "1000\n" {
			t.Errorf("oom_score_adj %q, %v", score, err)
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil {
			t.Error(err)
		}
		for limit, most := range map[string]string{"open files": "16", "file size": "0", "core file size": "0", "locked memory": "0"} {
			if !slices.ContainsFunc(strings.Split(string(limits), "\n"), func(l string) bool {
				return strings.HasPrefix(strings.Join(strings.Fields(l), " "), fmt.Sprintf("Max %s %s %s", limit, most, most))
			}) {
				t.Errorf("no limit of %s to %s:\n%s", limit, most, limits)
			}
		}
	}
}

// status reads lines of a thread's status, without zeros in front.
func status(t *testing.T, task string, lines map[string]string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(task + "/status")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if _, ok := lines[name]; !ok {
			continue
		}
		got[name] = ""
		for _, field := range strings.Fields(value) {
			n, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				t.Fatalf("%s: %q", name, value)
			}
			got[name] += fmt.Sprint(n, " ")
		}
		if strings.Count(got[name], " ") == 1 {
			got[name] = strings.TrimSpace(got[name])
		}
	}
	return got
}

// TestEqualsCannotReadIt: neither a process of the same user that is not locked down, nor another one that is.
func TestEqualsCannotReadIt(t *testing.T) {
	t.Parallel()
	without := func(layers ...lockdown.Layer) []lockdown.Layer {
		return slices.DeleteFunc(lockdown.Layers(), func(l lockdown.Layer) bool { return slices.Contains(layers, l) })
	}
	uid := os.Getuid()
	if uid == 0 {
		uid = nobody // root may read everybody
	}
	read := func(victim, reader order, uid int) outcome {
		cmd := begin(t, victim, uid)
		reader.Do, reader.Place.Peer = "read a peer's memory", cmd.Process.Pid
		return try(t, reader, uid)
	}
	if got := read(order{Do: "wait", Untouched: true}, order{Untouched: true}, uid); !got.did {
		t.Logf("this host refuses it by itself: %s", got.how)
	}
	if got := read(order{Do: "wait"}, order{Untouched: true}, uid); got.did {
		t.Error("an equal can read a process that is locked down")
	}
	if got := read(order{Do: "wait", Skip: without(lockdown.Dumpable)}, order{Untouched: true}, uid); got.did {
		t.Error("an equal can read a process that is not dumpable")
	}
	if os.Getuid() != 0 {
		return
	}
	if got := read(order{Do: "wait", Skip: without(lockdown.User)}, order{Skip: without(lockdown.User)}, 0); got.did {
		t.Error("a process that was root can read another one, though each has its own user")
	}
}

// TestSignalsOfTheParentArrive: the parent can end a child that is busy, whatever the child is.
func TestSignalsOfTheParentArrive(t *testing.T) {
	t.Parallel()
	cmd := begin(t, order{Do: "sum up forever"}, os.Getuid())
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
}

// begin starts a child, which lives until the test ends, and returns when its layers are in force.
func begin(t *testing.T, o order, uid int) *exec.Cmd {
	t.Helper()
	cmd := command(context.Background(), t, o, uid)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("%+v ended early: %v", o, err)
	}
	return cmd
}
