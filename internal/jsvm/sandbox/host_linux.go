package sandbox

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// self is this binary, also when its file has been replaced by a newer one.
func self() string { return "/proc/self/exe" }

// used is the CPU time of a child: the kernel's clock of its process (clock_getcpuclockid in the C library).
func (p *process) used() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^p.proc.Pid<<3|2), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// memory of the machine, or of the control group that this process is confined to.
func memory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	total := int64(info.Totalram) * int64(info.Unit)
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			total = min(total, n)
		}
	}
	return total
}

// pipe is the end of a pipe at which a child meets its parent, used in a way that Go's scheduler does not see. Told of a
// system call that takes long, it hands on the only processor and wakes its monitor, which costs as much as a short cell;
// and there is nothing that could run meanwhile.
type pipe struct {
	*os.File
	fd   uintptr
	poll int // an epoll of it; -1: none
}

// soon is how long the next request is waited for like this. After that it may not come for long, and the scheduler is
// told. Until then its monitor looks by each ten milliseconds and sends the thread a signal, as to any code that does not
// yield; a hundred milliseconds of that cost half of what it costs to wake the monitor.
const soon = 100 * time.Millisecond

// pipes makes a child's wait for requests, and its answers, cheap. What cannot be had is done in the ordinary way.
func pipes(in, out *os.File) (io.Reader, io.Writer) {
	r := &pipe{File: in, fd: in.Fd(), poll: -1}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, int(r.fd), &unix.EpollEvent{Events: unix.EPOLLIN})
	}
	if err == nil {
		r.poll = poll
	}
	return r, &pipe{File: out, fd: out.Fd()}
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) {
	var event unix.EpollEvent
	ready := uintptr(0)
	if p.poll >= 0 {
		mask := ^uint64(0) // the monitor's signal is not to end the wait
		ready, _, _ = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.poll), uintptr(unsafe.Pointer(&event)), 1,
			uintptr(soon.Milliseconds()), uintptr(unsafe.Pointer(&mask)), unsafe.Sizeof(mask))
	}
	if ready == 1 && len(b) > 0 {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, p.fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 && n > 0 {
			return int(n), nil
		}
	}
	return p.File.Read(b) // also what went wrong: it knows what to make of it
}

// Write implements io.Writer.
func (p *pipe) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		n, _, errno := syscall.RawSyscall(unix.SYS_WRITE, p.fd, uintptr(unsafe.Pointer(&b[written])), uintptr(len(b)-written))
		if errno != 0 {
			n, err := p.File.Write(b[written:])
			return written + n, err
		}
		written += int(n)
	}
	return written, nil
}
