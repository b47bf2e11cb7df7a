package lockdown

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// becomeNobody gives up root for a user that is this process alone, and every capability whoever it was.
//
// The functions of package syscall change all threads, and so does psx, with and without cgo.
func becomeNobody() error {
	var errs []error
	if os.Geteuid() == 0 {
		if err := syscall.Setgroups(nil); err != nil {
			errs = append(errs, fmt.Errorf("setgroups: %w", err))
		}
		err := become(unusedID + os.Getpid())
		if errors.Is(err, unix.EINVAL) {
			// The id does not exist in this user namespace. One above those that accounts of images have does.
			err = become(20000 + os.Getpid()%40000)
		}
		errs = append(errs, err)
	}
	errs = append(errs, dropCapabilities())
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		errs = append(errs, errors.New("the process is still root"))
	}
	return errors.Join(errs...)
}

// unusedID and the process's id make a user that is this process alone: two that live never have the same, so they
// cannot signal or trace each other. systemd's table of ids (UIDS-GIDS) leaves what is above 0x70000000 to nobody,
// and process ids have at most 22 bits.
const unusedID = 0x70000000

// become changes the user and the group, also the saved ones, of all threads.
func become(id int) error {
	var errs []error
	if err := syscall.Setresgid(id, id, id); err != nil {
		errs = append(errs, fmt.Errorf("setresgid %d: %w", id, err))
	}
	if err := syscall.Setresuid(id, id, id); err != nil {
		errs = append(errs, fmt.Errorf("setresuid %d: %w", id, err))
	}
	return errors.Join(errs...)
}

// dropCapabilities empties the permitted, effective and inheritable sets, and so the ambient one, of all threads.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none[0])), 0)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// refusePrivileges sets no_new_privs on all threads.
func refusePrivileges() error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// enterLandlock forbids all that this kernel's landlock can forbid, on all threads. Best effort alone would call it a
// success where there is no landlock at all.
func enterLandlock() error {
	if _, err := landlocksys.LandlockGetABIVersion(); err != nil {
		return fmt.Errorf("not in this kernel, or not enabled: %w", err)
	}
	return landlock.V11.BestEffort().Restrict()
}
