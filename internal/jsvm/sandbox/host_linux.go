package sandbox

import (
	"os"
	"strconv"
	"strings"
	"time"

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
