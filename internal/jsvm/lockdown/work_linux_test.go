package lockdown_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// jobs are what children do that is no deed.
var jobs = map[string]func(place) error{
	"wait": func(place) error {
		_, err := os.Stdin.Read(make([]byte, 1))
		return err
	},
	"read a peer's memory": func(p place) error { return open(fmt.Sprintf("/proc/%d/mem", p.Peer), unix.O_RDONLY) },
	"are you root": func(place) error {
		if os.Geteuid() != 0 {
			os.Exit(1)
		}
		return nil
	},
	"list descriptors":   listDescriptors,
	"work":               work,
	"exhaust the stack":  func(place) error { debug.SetMaxStack(1 << 20); return recurse(1 << 30) },
	"exhaust the memory": func(place) error { keep(make([]byte, 1<<33)); return nil },
	"sum up forever":     func(place) error { return spin(1<<63 - 1) },
}

// kept keeps the compiler from finding out that nobody needs it.
var kept atomic.Pointer[any]

func keep(v any) { kept.Store(&v) }

// listDescriptors fails with the names of open descriptors that are not of this process's own making.
func listDescriptors(place) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	var open []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !slices.Contains([]string{"0", "1", "2"}, e.Name()) && !strings.HasPrefix(target, "anon_inode:") {
			open = append(open, target)
		}
	}
	if len(open) > 0 {
		return errors.New(strings.Join(open, " "))
	}
	return nil
}

// work keeps Go's runtime busy with all it can do for two seconds.
func work(place) error {
	var group sync.WaitGroup
	var stop atomic.Bool
	time.AfterFunc(2*time.Second, func() { stop.Store(true) })
	parts := []func(){
		func() { // garbage of all sizes
			for size := 16; size < 1<<26; size *= 3 {
				keep(make([]byte, size))
			}
		},
		func() { debug.FreeOSMemory() },
		func() { spin(1 << 24) }, // only a signal preempts it
		func() { recurse(1 << 15) },
		func() { // threads that end
			done := make(chan struct{})
			go func() { runtime.LockOSThread(); close(done) }()
			<-done
		},
		func() { // faults that are panics
			defer func() { keep(recover()) }()
			var p *place
			keep(p.TCP)
		},
		func() { <-time.After(time.Millisecond) },
		func() { keep(regexp.MustCompile(`(a+)+b`).FindString(strings.Repeat("a", 1<<12))) },
		func() { // clocks, ids and chance
			var ts unix.Timespec
			var usage unix.Rusage
			if err := errors.Join(unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts), unix.Getrusage(unix.RUSAGE_SELF, &usage)); err != nil {
				panic(err)
			}
			keep(fmt.Sprint(time.Now().Local(), os.Getpid(), os.Getppid(), rand.Text(), os.NewFile(9, "none") == nil))
		},
	}
	for range 4 {
		for _, part := range parts {
			group.Go(func() {
				for !stop.Load() {
					part()
				}
			})
		}
	}
	group.Wait()
	return nil
}

func spin(n int) error {
	sum := 0
	for i := range n {
		sum += i * i
	}
	keep(sum)
	return nil
}

func recurse(n int) error {
	var frame [64]byte
	frame[n%64] = byte(n)
	if n > 0 && recurse(n-1) != nil {
		return errors.New(string(frame[:]))
	}
	return nil
}
