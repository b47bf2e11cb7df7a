package lockdown

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Apply locks the calling process down, for good. It tries every layer, also when others failed, and never panics.
// It is meant for a process that does nothing else yet.
func Apply(cfg Config) Report {
	cfg = cfg.withDefaults()
	bareErr := attempt(strip)
	steps := []struct {
		layer Layer
		apply func() error
	}{
		{Rlimits, func() error { return errors.Join(bareErr, limit(cfg.AddressSpace)) }},
		{OOMScore, func() error { return os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) }},
		{User, becomeNobody},
		{Dumpable, func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }},
		{NoNewPrivs, refusePrivileges},
		{Landlock, enterLandlock},
		{Seccomp, filterCalls},
	}
	var r Report
	for _, step := range steps {
		if slices.Contains(cfg.Skip, step.layer) {
			r.Missing = append(r.Missing, Missing{step.layer, "left out by the configuration"})
		} else if err := attempt(step.apply); err != nil {
			r.Missing = append(r.Missing, Missing{step.layer, err.Error()})
		} else {
			r.Applied = append(r.Applied, step.layer)
		}
	}
	return r
}

// attempt turns a panic into an error: Go panics when a system call had different results on different threads.
func attempt(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// strip empties the environment and closes every descriptor above 2, whoever left it open.
func strip() error {
	// Reads TZ and the zone's file now. Go would do so when somebody wants a local time, and end for it.
	_, _ = time.Now().Zone()
	os.Clearenv()
	// Go's runtime holds the files of its CPU limit open and reads them once a second, unless GOMAXPROCS was set.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 && !ofPoller(fd) {
			// EBADF is the descriptor that read the list.
			if err := unix.Close(fd); err != nil && !errors.Is(err, unix.EBADF) {
				return fmt.Errorf("close descriptor %d: %w", fd, err)
			}
		}
	}
	return nil
}

// ofPoller reports whether a descriptor belongs to the poller of Go's runtime, which exists since the first timer or
// pollable file and throws when it cannot wait. This rules out close_range: nobody tells the numbers. What the parent
// left open is recognised by surviving the exec, which the runtime's own descriptors would not.
func ofPoller(fd int) bool {
	target, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
		return false
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC != 0
}

// limit lowers resource limits, which are the process's: never raises one. There is none of RLIMIT_NPROC: it counts a
// user's threads on the whole machine, also in containers that do not know of each other, and nothing here can fork.
func limit(addressSpace uint64) error {
	limits := []struct {
		name     string
		resource int
		most     uint64
	}{
		{"RLIMIT_AS", unix.RLIMIT_AS, addressSpace},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, 16}, // three, those of Go's poller, and landlock's for a moment
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0},
		{"RLIMIT_FSIZE", unix.RLIMIT_FSIZE, 0}, // of files; pipes are not meant
		{"RLIMIT_MEMLOCK", unix.RLIMIT_MEMLOCK, 0},
		{"RLIMIT_MSGQUEUE", unix.RLIMIT_MSGQUEUE, 0},
	}
	var errs []error
	for _, l := range limits {
		if l.resource == unix.RLIMIT_AS && sanitized {
			errs = append(errs, errors.New("RLIMIT_AS: a sanitizer is compiled in, whose shadow memory needs more"))
			continue
		}
		var now unix.Rlimit
		err := unix.Prlimit(0, l.resource, nil, &now)
		if err == nil {
			most := min(l.most, now.Max)
			err = unix.Prlimit(0, l.resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}
