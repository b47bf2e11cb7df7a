package lockdown

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestFilter runs the program as the kernel would.
func TestFilter(t *testing.T) {
	t.Parallel()
	const arch, pid = 0xc0de, 4711
	const allow, kill, absent = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	const goThread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	vm, err := bpf.NewVM(filter(arch, pid, false))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name         string
		arch, number uint32
		args         [3]uint32
		want         uint32
	}{
		{"read", arch, unix.SYS_READ, [3]uint32{}, allow},
		{"read by another instruction set", arch + 1, unix.SYS_READ, [3]uint32{}, kill},
		{"read of the x32 table", arch, unix.SYS_READ | 1<<30, [3]uint32{}, kill},
		{"openat", arch, unix.SYS_OPENAT, [3]uint32{}, kill},
		{"a thread", arch, unix.SYS_CLONE, [3]uint32{goThread}, allow},
		{"a thread with a network of its own", arch, unix.SYS_CLONE, [3]uint32{goThread | unix.CLONE_NEWNET}, kill},
		{"a process", arch, unix.SYS_CLONE, [3]uint32{uint32(unix.SIGCHLD)}, kill},
		{"clone3", arch, unix.SYS_CLONE3, [3]uint32{}, absent},
		{"is it a terminal", arch, unix.SYS_IOCTL, [3]uint32{2, unix.TCGETS}, unix.SECCOMP_RET_ERRNO | uint32(unix.ENOTTY)},
		{"a signal to itself", arch, unix.SYS_TGKILL, [3]uint32{pid, pid, 23}, allow},
		{"a signal to another", arch, unix.SYS_TGKILL, [3]uint32{1, 1, 9}, kill},
		{"a name for memory", arch, unix.SYS_PRCTL, [3]uint32{unix.PR_SET_VMA, unix.PR_SET_VMA_ANON_NAME}, allow},
		{"prctl with the number of a call that is allowed", arch, unix.SYS_PRCTL, [3]uint32{unix.SYS_CLOSE}, kill},
		{"memory", arch, unix.SYS_MMAP, [3]uint32{0, 4096, unix.PROT_READ | unix.PROT_WRITE}, allow},
		{"memory that is code", arch, unix.SYS_MMAP, [3]uint32{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, kill},
		{"memory that becomes code", arch, unix.SYS_MPROTECT, [3]uint32{0, 4096, unix.PROT_EXEC}, kill},
		{"is it blocking", arch, unix.SYS_FCNTL, [3]uint32{0, unix.F_GETFL}, allow},
		{"make it blocking", arch, unix.SYS_FCNTL, [3]uint32{0, unix.F_SETFL}, kill},
	} {
		data := make([]byte, 64) // struct seccomp_data, in the byte order of this machine for packets
		binary.BigEndian.PutUint32(data[0:], c.number)
		binary.BigEndian.PutUint32(data[4:], c.arch)
		for i, arg := range c.args {
			binary.BigEndian.PutUint32(data[16+8*i:], arg)
		}
		if got, err := vm.Run(data); err != nil || uint32(got) != c.want {
			t.Errorf("%s: %#x, %v; want %#x", c.name, uint32(got), err, c.want)
		}
	}
}
