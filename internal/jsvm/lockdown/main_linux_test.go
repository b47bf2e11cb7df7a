package lockdown_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"statek/internal/jsvm/lockdown"
)

// order says what a child has to do: this test binary, started again with the order as its second argument.
type order struct {
	Do        string           // the name of a deed, or of one of the jobs
	Untouched bool             // without Apply
	Skip      []lockdown.Layer // the layers that are loosened
	Thread    string           // which thread does the deed: one that is "older" than Apply, its "caller", or a "newer" one
	Place     place
}

// place is where the deeds of a child happen.
type place struct {
	Dir          string  // a folder that everybody may write
	TCP, UDP     int     // ports of the parent
	Abstract     string  // name of the parent's abstract socket
	Address      uintptr // of something in the parent's memory
	RootsProgram string  // a set-user-id copy of this binary
	Peer         int     // another child
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "child" {
		var o order
		if err := json.Unmarshal([]byte(os.Args[2]), &o); err != nil {
			panic(err)
		}
		o.run()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// run is the child: a line with the report, and then one with what came of it.
func (o order) run() {
	runtime.LockOSThread()
	older := worker()
	signal.Ignore(syscall.SIGXFSZ) // the write fails as well; Go would end with a page of goroutines
	<-time.After(time.Microsecond) // now Go's poller has its descriptors
	var report lockdown.Report
	if !o.Untouched {
		report = lockdown.Apply(lockdown.Config{Skip: o.Skip})
	}
	line, err := json.Marshal(report)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	newer := worker()
	do := func() {
		var errno syscall.Errno
		switch err := o.do(); {
		case err == nil:
			fmt.Println("done")
		case errors.As(err, &errno):
			fmt.Println(unix.ErrnoName(errno))
		default:
			fmt.Println(err)
		}
	}
	on := map[string]chan func(){"older": older, "newer": newer}[o.Thread]
	if on == nil {
		do()
		return
	}
	done := make(chan struct{})
	on <- func() { defer close(done); do() }
	<-done
}

func (o order) do() error {
	if job := jobs[o.Do]; job != nil {
		return job(o.Place)
	}
	i := slices.IndexFunc(deeds, func(d deed) bool { return d.name == o.Do })
	return deeds[i].do(o.Place)
}

// worker is a thread of its own, there from now on.
func worker() chan func() {
	work, up := make(chan func()), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(up)
		for f := range work {
			f()
		}
	}()
	<-up
	return work
}

// outcome is what became of a child.
type outcome struct {
	report lockdown.Report
	did    bool
	how    string // "done", or by what it was refused
}

// nobody is the user of children that are not to be root.
const nobody = 65534

// command is a child that has not started. It gets a secret in its environment, a file that can be written as
// descriptor 0, and one that it is not to have as descriptor 3.
func command(ctx context.Context, t *testing.T, o order, uid int) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	// The folder of a test binary is closed to other users; this name for it is not.
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "child", string(text))
	cmd.Env = []string{"SECRET=hunter2", "GOTRACEBACK=single"}
	if os.Getuid() != uid {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return cmd
}

// try runs a child to its end.
func try(t *testing.T, o order, uid int) outcome {
	t.Helper()
	got, err := o.try(t, uid)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (o order) try(t *testing.T, uid int) (outcome, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, t, o, uid)
	writable, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		return outcome{}, err
	}
	defer writable.Close()
	readable, err := os.Open("/proc/self/exe")
	if err != nil {
		return outcome{}, err
	}
	defer readable.Close()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = writable, &out, &errs, []*os.File{readable}
	ran := cmd.Run()

	first, rest, _ := strings.Cut(out.String(), "\n")
	got := outcome{how: strings.TrimSpace(rest)}
	if err := json.Unmarshal([]byte(first), &got.report); err != nil {
		return got, fmt.Errorf("%+v: no report: %w, %w\n%s%s", o, err, ran, &out, &errs)
	}
	got.did = ran == nil && got.how == "done"
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ran != nil && ok && status.Signaled() {
		got.how = unix.SignalName(status.Signal())
	} else if ran != nil {
		return got, fmt.Errorf("%+v: %w\n%s%s", o, ran, &out, &errs)
	}
	return got, nil
}
