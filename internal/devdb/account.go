package devdb

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who the server runs as; the zero value: as ourselves.
type account struct {
	name string
	uid  uint32
	gid  uint32
	ours bool
}

// serverAccount is ourselves, unless we are root, whom PostgreSQL refuses.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{ours: true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return account{}, fmt.Errorf("devdb: PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as")
}

// run makes the command run as the account, in a process group of its own: a Ctrl-C in the terminal is for
// us, and we decide when the server stops.
func (a account) run(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !a.ours {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
		cmd.Dir = "/"
		cmd.Env = append(os.Environ(), "HOME=/", "USER="+a.name)
	}
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if a.ours {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// home makes the folder of the server: dir itself, or, when the account cannot reach it, one with a stable
// name that it can.
func (a account) home(dir string, logger *slog.Logger) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("devdb: resolve folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("devdb: make folder: %w", err)
	}
	blocked := a.blocked(dir)
	if blocked == "" {
		return dir, nil
	}
	sum := sha256.Sum256([]byte(dir))
	name := "statek-dev-" + hex.EncodeToString(sum[:6])
	for _, parent := range []string{"/var/lib", os.TempDir()} {
		other := filepath.Join(parent, name)
		if os.MkdirAll(other, 0o755) != nil || a.blocked(other) != "" || !mine(other) {
			continue
		}
		logger.Info("the database's user cannot enter the data folder; using another one",
			"user", a.name, "folder", dir, "blocked_by", blocked, "using", other)
		return other, nil
	}
	return "", fmt.Errorf("devdb: user %s, as whom PostgreSQL must run, cannot enter %s: choose another data folder", a.name, blocked)
}

// mine reports whether we own the folder: in a temporary folder anyone may have made it before us.
func mine(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// blocked returns the first folder on the way to dir that the account may not enter; "" when there is none.
func (a account) blocked(dir string) string {
	if a.ours {
		return ""
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return dir
	}
	for path := real; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil || !a.enters(info) {
			return path
		}
		if path == filepath.Dir(path) {
			return ""
		}
	}
}

func (a account) enters(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case stat.Uid == a.uid:
		return mode&0o100 != 0
	case stat.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
