package lockdown_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"statek/internal/jsvm/lockdown"
)

// deed is something that no sandbox process may do. by are the layers each of which refuses it alone, on a kernel
// that has all of them; always means that it is refused whatever the layers.
type deed struct {
	name   string
	by     []lockdown.Layer
	always bool
	do     func(place) error
}

var deeds = []deed{
	{name: "read a file", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(place) error { return open("/etc/passwd", unix.O_RDONLY) }},
	{name: "create a file", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		return open(filepath.Join(p.Dir, fmt.Sprint("new-", os.Getpid())), unix.O_WRONLY|unix.O_CREAT)
	}},
	{name: "grow a file it was given", by: []lockdown.Layer{lockdown.Rlimits}, do: func(place) error { return second(unix.Write(0, []byte("x"))) }},
	{name: "use descriptor 3", always: true, do: func(place) error { return second(unix.Read(3, make([]byte, 1))) }},
	{name: "read its environment", always: true, do: func(place) error { return nonEmpty(os.Environ(), nil) }},
	{name: "read /proc/self/environ", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(place) error { return openRead("/proc/self/environ") }},
	{name: "read its parent's environment", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return openRead(fmt.Sprintf("/proc/%d/environ", os.Getppid()))
	}},
	{name: "open its parent's memory", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return open(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDONLY)
	}},
	{name: "copy its parent's memory", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: copyMemory},
	{name: "trace its parent", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return call(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(os.Getppid()), 0, 0)
	}},
	{name: "signal its parent", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return unix.Kill(os.Getppid(), unix.SIGURG) // which Go ignores
	}},
	{name: "connect over TCP", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		return connect(unix.AF_INET, unix.SOCK_STREAM, &unix.SockaddrInet4{Port: p.TCP, Addr: [4]byte{127, 0, 0, 1}})
	}},
	{name: "listen on TCP", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: listen},
	{name: "connect over UDP", by: []lockdown.Layer{lockdown.Seccomp}, do: func(p place) error {
		return connect(unix.AF_INET, unix.SOCK_DGRAM, &unix.SockaddrInet4{Port: p.UDP, Addr: [4]byte{127, 0, 0, 1}})
	}},
	{name: "connect to an abstract socket", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		return connect(unix.AF_UNIX, unix.SOCK_STREAM, &unix.SockaddrUnix{Name: p.Abstract})
	}},
	{name: "execute a program", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return unix.Exec("/bin/echo", []string{"echo", "done"}, nil)
	}},
	{name: "run itself", by: []lockdown.Layer{lockdown.Landlock, lockdown.Seccomp}, do: func(place) error {
		return execute("/proc/self/exe", "-test.list", "^TestLayersOverlap$")
	}},
	{name: "run a program from memory", by: []lockdown.Layer{lockdown.Rlimits, lockdown.Seccomp}, do: runFromMemory},
	{name: "gain root by a set-user-id file", by: []lockdown.Layer{lockdown.NoNewPrivs, lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		return execute(p.RootsProgram, "child", `{"Do":"are you root","Untouched":true}`)
	}},
	{name: "make memory executable", by: []lockdown.Layer{lockdown.Seccomp}, do: func(place) error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		return err
	}},
	{name: "raise a limit", by: []lockdown.Layer{lockdown.User, lockdown.Seccomp}, do: func(place) error {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 15, Max: 15}, nil); err != nil {
			return err
		}
		return unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 16, Max: 16}, nil)
	}},
	{name: "become root", by: []lockdown.Layer{lockdown.User, lockdown.Seccomp}, do: func(place) error { return call(unix.SYS_SETRESUID, 0, 0, 0) }},
	{name: "make a device", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		return unix.Mknod(filepath.Join(p.Dir, fmt.Sprint("null-", os.Getpid())), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3)))
	}},
	{name: "open the machine's memory", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(place) error { return open("/dev/mem", unix.O_RDONLY) }},
	{name: "mount", by: []lockdown.Layer{lockdown.User, lockdown.Landlock, lockdown.Seccomp}, do: func(p place) error {
		if err := unix.Mount("none", filepath.Join(p.Dir, "mnt"), "tmpfs", 0, ""); err != nil {
			return err
		}
		return unix.Unmount(filepath.Join(p.Dir, "mnt"), unix.MNT_DETACH)
	}},
	{name: "set up an io_uring", by: []lockdown.Layer{lockdown.Seccomp}, do: func(place) error {
		var params [120]byte
		return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
	}},
}

func second(_ int, err error) error { return err }

func call(nr uintptr, args ...uintptr) error {
	args = append(args, 0, 0, 0, 0, 0, 0)
	if _, _, errno := unix.Syscall6(nr, args[0], args[1], args[2], args[3], args[4], args[5]); errno != 0 {
		return errno
	}
	return nil
}

func open(path string, flags int) error {
	return second(unix.Open(path, flags, 0o600))
}

func openRead(path string) error { return nonEmpty(os.ReadFile(path)) }

func nonEmpty[S ~[]E, E any](s S, err error) error {
	if err == nil && len(s) == 0 {
		err = errors.New("empty")
	}
	return err
}

func execute(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr // nil would be /dev/null, and opening it another deed
	return cmd.Run()
}

func connect(family, kind int, to unix.Sockaddr) error {
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return err
	}
	return unix.Connect(fd, to)
}

func listen(place) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	return unix.Listen(fd, 1)
}

func copyMemory(p place) error {
	var got [1]byte
	local := []unix.Iovec{{Base: &got[0], Len: 1}}
	return second(unix.ProcessVMReadv(os.Getppid(), local, []unix.RemoteIovec{{Base: p.Address, Len: 1}}, 0))
}

func runFromMemory(place) error {
	fd, err := unix.MemfdCreate("program", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, program()); err != nil {
		return err
	}
	var empty [1]byte
	return call(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)), 0, 0, unix.AT_EMPTY_PATH)
}

// program is the smallest one that writes "done".
func program() []byte {
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH]
	code := map[string]string{
		// write(1, message, 5); exit(0)
		"amd64": "b801000000" + "bf01000000" + "488d3510000000" + "ba05000000" + "0f05" + "b83c000000" + "31ff" + "0f05",
		"arm64": "080880d2" + "200080d2" + "c1000010" + "a20080d2" + "010000d4" + "a80b80d2" + "000080d2" + "010000d4",
	}[runtime.GOARCH]
	text, err := hex.DecodeString(code)
	if err != nil {
		panic(err)
	}
	const base, headers = 0x400000, 64 + 56
	text = append(text, "done\n"...)
	var b bytes.Buffer
	for _, v := range []any{
		[16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, uint16(2), machine, uint32(1), uint64(base + headers), uint64(64), uint64(0),
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(64), uint16(0), uint16(0), // the file's header ends here
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), uint64(headers + len(text)), uint64(headers + len(text)), uint64(4096),
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return append(b.Bytes(), text...)
}
