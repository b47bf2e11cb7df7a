package lockdown_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"statek/internal/jsvm/lockdown"
)

// TestLayersOverlap does every deed in a child of its own under each layer alone and with each layer loosened, as root
// (if these tests run as root) and as a user who is nobody. What one layer lets through another one stops, wherever
// two can.
func TestLayersOverlap(t *testing.T) {
	t.Parallel()
	for _, uid := range identities() {
		t.Run(fmt.Sprint("uid", uid), func(t *testing.T) {
			t.Parallel()
			m := measure(t, uid)
			t.Logf("each layer alone, started as uid %d\n%s", uid, m.table("alone", func(l lockdown.Layer) string { return "only " + string(l) }))
			t.Logf("each layer loosened, started as uid %d\n%s", uid, m.table("loosened", func(l lockdown.Layer) string { return "without " + string(l) }))
			for _, d := range deeds {
				m.check(t, d, uid)
			}
		})
	}
}

// identities are the users that children can be started as here.
func identities() []int {
	if uid := os.Getuid(); uid != 0 || lockdown.Sanitized {
		return []int{uid}
	}
	return []int{0, nobody}
}

// matrix holds outcomes by deed and by setting: "untouched", "all", "only …", "without …".
type matrix map[string]map[string]outcome

func (m matrix) check(t *testing.T, d deed, uid int) {
	t.Helper()
	got := m[d.name]
	for _, thread := range []string{"older", "caller", "newer"} {
		if o := got["all, "+thread]; o.did {
			t.Errorf("under all layers one can %s, on a thread that is %s", d.name, thread)
		}
	}
	if !got["untouched"].did {
		return // this host refuses it by itself, or has no such thing
	}
	if d.always != !got["no layer"].did {
		t.Errorf("%s without any layer: did it: %v, want %v", d.name, got["no layer"].did, !d.always)
	}
	for _, layer := range d.by {
		if unavailable(got, layer, uid) {
			continue
		}
		if o := got["only "+string(layer)]; o.did {
			t.Errorf("%s alone does not refuse to %s", layer, d.name)
		}
	}
	for _, loosened := range lockdown.Layers() {
		others := slices.ContainsFunc(lockdown.Layers(), func(l lockdown.Layer) bool { return l != loosened && !got["only "+string(l)].did })
		if o := got["without "+string(loosened)]; o.did && others {
			t.Errorf("without %s one can %s, though another layer refuses it alone", loosened, d.name)
		}
	}
}

// unavailable reports that a layer cannot show what it does: the kernel lacks it, or one who is not root has nothing
// to give up, or one who is root nothing to gain.
func unavailable(got map[string]outcome, l lockdown.Layer, uid int) bool {
	return l == lockdown.User && uid != 0 || l == lockdown.NoNewPrivs && uid == 0 || !slices.Contains(got["only "+string(l)].report.Applied, l)
}

func (m matrix) table(title string, setting func(lockdown.Layer) string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, title, "\tuntouched")
	for _, l := range lockdown.Layers() {
		fmt.Fprint(w, "\t", l)
	}
	for _, d := range deeds {
		fmt.Fprint(w, "\n", d.name, "\t", m[d.name]["untouched"].how)
		for _, l := range lockdown.Layers() {
			fmt.Fprint(w, "\t", m[d.name][setting(l)].how)
		}
	}
	w.Flush()
	return b.String()
}

// measure runs all children, a few at a time.
func measure(t *testing.T, uid int) matrix {
	t.Helper()
	m := matrix{}
	var mu sync.Mutex
	var tracing sync.Mutex // a process has one tracer at most
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	here := somewhere(t)
	for _, d := range deeds {
		outcomes := map[string]outcome{}
		m[d.name] = outcomes
		for setting, o := range settings() {
			o.Do, o.Place = d.name, here
			group.Go(func() error {
				if strings.HasPrefix(d.name, "trace") {
					tracing.Lock()
					defer tracing.Unlock()
				}
				got, err := o.try(t, uid)
				mu.Lock()
				defer mu.Unlock()
				outcomes[setting] = got
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return m
}

func settings() map[string]order {
	s := map[string]order{
		"untouched":   {Untouched: true, Thread: "caller"},
		"no layer":    {Skip: lockdown.Layers(), Thread: "caller"},
		"all, older":  {Thread: "older"},
		"all, caller": {Thread: "caller"},
		"all, newer":  {Thread: "newer"},
	}
	if lockdown.Sanitized {
		return s // a child takes half a second to start
	}
	for _, l := range lockdown.Layers() {
		others := slices.DeleteFunc(lockdown.Layers(), func(o lockdown.Layer) bool { return o == l })
		s["only "+string(l)] = order{Skip: others, Thread: "older"}
		s["without "+string(l)] = order{Skip: []lockdown.Layer{l}, Thread: "older"}
	}
	return s
}

// target is what a child looks for in its parent's memory.
var target = [1]byte{42}

// somewhere makes a place where everything that deeds look for is there.
func somewhere(t *testing.T) place {
	t.Helper()
	// Not t.TempDir, whose parents are closed to other users.
	dir, err := os.MkdirTemp("", "lockdown")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := place{Dir: dir, Abstract: "@" + dir, Address: uintptr(unsafe.Pointer(&target)), RootsProgram: filepath.Join(dir, "root")}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []func() error{
		func() error { return os.Mkdir(filepath.Join(dir, "mnt"), 0o755) },
		func() error { return os.WriteFile(p.RootsProgram, program, 0o755) },
		func() error { return os.Chmod(p.RootsProgram, 0o755|os.ModeSetuid) },
		func() error { return os.Chmod(dir, 0o777) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	var config net.ListenConfig
	tcp, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unixSocket, err := config.Listen(t.Context(), "unix", p.Abstract)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := config.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close(); unixSocket.Close() })
	p.TCP, p.UDP = tcp.Addr().(*net.TCPAddr).Port, udp.LocalAddr().(*net.UDPAddr).Port
	return p
}
