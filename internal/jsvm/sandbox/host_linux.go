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

// requests is the pipe that a child reads. The next request comes soon or not for long, and while it may come soon the
// child waits in a way that Go's scheduler does not see: told of a wait, it hands on the only processor and wakes its
// monitor, each time, and takes as long for that as a short cell takes to run.
type requests struct {
	*os.File
	poll int // an epoll of it
}

// soon is shorter than the ten milliseconds after which Go takes a processor for one that does not yield.
const soon = 5 * time.Millisecond

// waiting makes the wait for a child's next request cheap. Where that cannot be had the wait is an ordinary one.
func waiting(in *os.File) io.Reader {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return in
	}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, int(in.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		_ = unix.Close(poll)
		return in
	}
	return &requests{in, poll}
}

// Read implements io.Reader.
func (r *requests) Read(b []byte) (int, error) {
	var event unix.EpollEvent
	// Whatever comes of it, an interrupt too: reading tells.
	_, _, _ = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(r.poll), uintptr(unsafe.Pointer(&event)), 1, uintptr(soon.Milliseconds()), 0, 0)
	return r.File.Read(b)
}
