package lockdown

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// allowed are the system calls that may be made with any arguments.
func allowed() []uint32 {
	return []uint32{
		// Frames come and go through pipes. Nothing here can open a descriptor of something outside.
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE,
		// Waiting: locks, timers, pipes in non-blocking mode.
		unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
		// Memory: the heap, and the stacks that libc allocates for threads with cgo.
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MREMAP, unix.SYS_BRK,
		// Threads and their signals: preemption is a signal to a thread of one's own.
		unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SCHED_GETAFFINITY,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		// Clocks, of which only CPU time is always a system call; what was used; random seeds.
		unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM,
		// Who am I: the parent is asked for by one who wants to end when it has.
		unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID,
	}
}

// check is a condition on an argument. The kernel takes all arguments that are checked here as 32-bit numbers, or
// looks only at their lower bits, so the lower half is all there is to check.
type check struct {
	arg  uint32
	test bpf.JumpTest
	val  uint32
}

// guarded is a system call whose arguments have to pass all checks.
type guarded struct {
	number uint32
	checks []check
}

func guards(pid int) []guarded {
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	return []guarded{
		// Memory never becomes code: a Go process needs no more of it once it runs.
		{unix.SYS_MMAP, []check{{2, bpf.JumpBitsNotSet, unix.PROT_EXEC}}},
		{unix.SYS_MPROTECT, []check{{2, bpf.JumpBitsNotSet, unix.PROT_EXEC}}},
		// A thread, never a process.
		{unix.SYS_CLONE, []check{{0, bpf.JumpBitsSet, unix.CLONE_THREAD}, {0, bpf.JumpBitsNotSet, namespaces}}},
		// Preemption is a signal to a thread of one's own.
		{unix.SYS_TGKILL, []check{{0, bpf.JumpEqual, uint32(pid)}}},
		// Since 1.25 Go names its memory.
		{unix.SYS_PRCTL, []check{{0, bpf.JumpEqual, unix.PR_SET_VMA}, {1, bpf.JumpEqual, unix.PR_SET_VMA_ANON_NAME}}},
		// os.NewFile asks whether a descriptor blocks.
		{unix.SYS_FCNTL, []check{{1, bpf.JumpEqual, unix.F_GETFL}}},
	}
}

// filter is the program that the kernel runs before each system call of a process. It is written out rather than made
// by a library: go-seccomp-bpf 1.6, after a check that failed, goes on to compare the argument with the numbers of
// calls, so that prctl(3) passes for close.
func filter(arch uint32, pid int, libc bool) []bpf.Instruction {
	const number, architecture, arguments = 0, 4, 16 // offsets in struct seccomp_data
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	kill := bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS}

	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: architecture, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		kill,
		bpf.LoadAbsolute{Off: number, Size: 4},
	}
	for _, nr := range allowed() {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: 1}, allow)
	}
	for _, g := range guards(pid) {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: g.number, SkipTrue: uint8(3*len(g.checks) + 1)})
		for _, c := range g.checks {
			program = append(program,
				bpf.LoadAbsolute{Off: arguments + 8*c.arg, Size: 4},
				bpf.JumpIf{Cond: c.test, Val: c.val, SkipTrue: 1},
				kill)
		}
		program = append(program, allow)
	}
	for _, d := range denials(libc) {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: d.number, SkipTrue: 1},
			bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(d.errno)})
	}
	return append(program, kill)
}

// denial is a system call that is refused with an error rather than with death, for who makes it takes no for an
// answer.
type denial struct {
	number uint32
	errno  unix.Errno
}

func denials(libc bool) []denial {
	d := []denial{
		// clone3 has its flags in memory, where a filter cannot look. Told that there is none, libc takes clone.
		{unix.SYS_CLONE3, unix.ENOSYS},
		// esbuild asks whether standard error is a terminal.
		{unix.SYS_IOCTL, unix.ENOTTY},
	}
	if libc {
		// glibc counts processors in /sys when a ninth thread wants memory at once, and without asks the scheduler.
		d = append(d, denial{unix.SYS_OPENAT, unix.EACCES})
	}
	return d
}

// filterCalls puts the filter over all threads. The kernel wants no_new_privs for that, of the thread that asks, and
// spreads it together with the filter.
func filterCalls() error {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("there is no filter for %s", runtime.GOARCH)
	}
	raw, err := bpf.Assemble(filter(arch, os.Getpid(), libc))
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return errno
	case thread != 0:
		// Not an errno, but nothing was done on any thread.
		return fmt.Errorf("thread %d has a filter of its own", thread)
	}
	return nil
}
