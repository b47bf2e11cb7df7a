package sandbox

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
)

// secretName is a variable that TestMain puts into the environment of this process. The value is made when
// the program runs: a constant would be in the text of every copy of it.
const secretName = "STATEK_TEST_API_KEY"

func makeSecret() string {
	return "sk-" + hex.EncodeToString(fmt.Appendf(nil, "secret of process %d", os.Getpid()))
}

// scan looks for texts in all memory of a process that can be read.
func scan(t *testing.T, pid int, texts ...string) map[string]bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mem.Close() }()
	found := map[string]bool{}
	read := 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); n != 3 || rights[0] != 'r' {
			continue
		}
		text, err := io.ReadAll(io.NewSectionReader(mem, from, min(to-from, 1<<28)))
		if read += len(text); err != nil && len(text) == 0 {
			continue // [vvar], and what was reserved only
		}
		for _, want := range texts {
			found[want] = found[want] || bytes.Contains(text, []byte(want))
		}
	}
	if read < 1<<20 {
		t.Fatalf("read only %d bytes of process %d", read, pid)
	}
	return found
}

// TestNoSecretIsInAChild scans a child's memory image for what its parent knows. The child lets itself be
// read for once; the rest is locked down.
func TestNoSecretIsInAChild(t *testing.T) {
	t.Parallel()
	secret := os.Getenv(secretName)
	database := "postgres://statek:" + secret + "@db/statek"
	p := newPool(t, Config{skip: []lockdown.Layer{lockdown.Dumpable, lockdown.User}})
	s := open(t, p, jsvm.Setup{})
	mark := "mark" + hex.EncodeToString([]byte("of a cell"))
	if step, err := s.Run(t.Context(), jsvm.Cell{Source: "const kept = '" + mark + "' + 1; await fetchIt(kept)"}); err != nil || step.State != jsvm.Pending {
		t.Fatalf("%+v %v", step, err)
	}
	if own := scan(t, os.Getpid(), secret, database); !own[secret] {
		t.Fatal("the scan does not find the secret where it is")
	}
	for c := range p.children {
		found := scan(t, c.proc.Pid, secret, database, mark)
		if !found[mark] {
			t.Error("the scan does not find what the child holds")
		}
		if found[secret] || found[database] {
			t.Errorf("the child's memory holds a secret: %v", found)
		}
	}
}

// TestAChildHasNothing: no environment, no argument, no descriptor but its pipes, a process group of its own.
func TestAChildHasNothing(t *testing.T) {
	t.Parallel()
	p := newPool(t, Config{skip: []lockdown.Layer{lockdown.Dumpable, lockdown.User}})
	if step := run(t, open(t, p, jsvm.Setup{}), "1"); step.Echo != "1" {
		t.Fatalf("%+v", step)
	}
	for c := range p.children {
		dir := fmt.Sprintf("/proc/%d/", c.proc.Pid)
		if env, err := os.ReadFile(dir + "environ"); err != nil || len(env) > 0 {
			t.Errorf("environment %q, %v", env, err)
		}
		if line, err := os.ReadFile(dir + "cmdline"); err != nil || string(line) != childName+"\x00" {
			t.Errorf("command line %q, %v", line, err)
		}
		fds, err := filepath.Glob(dir + "fd/*")
		if err != nil || len(fds) < 3 {
			t.Fatalf("%v %v", fds, err)
		}
		for _, fd := range fds {
			target, _ := os.Readlink(fd)
			if !strings.HasPrefix(target, "pipe:") && !strings.HasPrefix(target, "anon_inode:") {
				t.Errorf("descriptor %s is %s", filepath.Base(fd), target)
			}
		}
		if group, err := syscall.Getpgid(c.proc.Pid); err != nil || group != c.proc.Pid {
			t.Errorf("process group %d of %d, %v", group, c.proc.Pid, err)
		}
	}
}

// TestChildrenEndWithTheirParent: the pipe closes when the parent is gone, also when a cell is busy.
func TestChildrenEndWithTheirParent(t *testing.T) {
	t.Parallel()
	proc, _, err := launch(self(), start{})
	if err != nil {
		t.Fatal(err)
	}
	_ = proc.in.Close()
	<-proc.gone
	if proc.state.ExitCode() != exitOver {
		t.Errorf("the child ended with %v", proc.state)
	}
}

// escapes are ways out that scripts have tried elsewhere. Each is tried as it stands; what it says must be an
// error, or nothing.
var escapes = []string{
	"require('fs').readFileSync('/etc/passwd', 'utf8')",
	"(await import('node:fs')).readFileSync('/etc/passwd', 'utf8')",
	"import fs from 'fs'; fs.readFileSync('/etc/passwd')",
	"process.env", "process.binding('fs')", "process.mainModule.require('child_process').execSync('id')",
	"Deno.readTextFileSync('/etc/passwd')", "Bun.file('/etc/passwd')", "globalThis.process.exit(1)",
	"fetch('http://127.0.0.1')", "new XMLHttpRequest()", "new WebSocket('ws://127.0.0.1')", "importScripts('http://127.0.0.1')", "navigator.sendBeacon('http://127.0.0.1')",
	"(function(){}).constructor('return process')()", "[].constructor.constructor('return globalThis')().process.env",
	"(async()=>{}).constructor('return 1')()", "(function*(){}).constructor('yield 1')()", "new Function('return this')()", "eval('1')", "(0, eval)('1')",
	"Reflect.construct(Function, ['return process'])()", "print.constructor('return process')()", "fetchIt.constructor('return process')()",
	"console.log.constructor('return process.env')()", "Error.prepareStackTrace = (e, s) => s[0].getThis(); new Error().stack.process.env",
	"require.main", "module.constructor._load('fs')", "WebAssembly.compile(new Uint8Array())", "new Worker('x')", "new SharedArrayBuffer(1)", "load('/etc/passwd')", "read('/etc/passwd')",
	"globalThis['%clean'].constructor('return process')()", "this.constructor.constructor('return process')()",
	"Object.getPrototypeOf(async function(){}).constructor('return process')()",
	"const p = new Proxy(Function, {}); p('return process')()", "setTimeout('process', 0)", "document.cookie", "localStorage.getItem('x')",
}

// TestNothingOutsideCanBeNamed tries escapes with all layers put on, then with each left out: the language gives
// none of them anything to begin with.
func TestNothingOutsideCanBeNamed(t *testing.T) {
	t.Parallel()
	for _, skip := range append(lockdown.Layers(), "") {
		p := newPool(t, Config{skip: []lockdown.Layer{skip}})
		for _, source := range escapes {
			step := run(t, open(t, p, jsvm.Setup{}), source)
			if step.State == jsvm.Done && step.Echo != "" {
				t.Errorf("without %s, %s gives %s", skip, source, step.Echo)
			}
			if step.State == jsvm.Aborted {
				t.Errorf("without %s, %s ends the child: %s", skip, source, step.Err)
			}
			if strings.Contains(outcome(step), "root:") {
				t.Errorf("%s reads a file", source)
			}
		}
		if counts, _ := p.Counts(); len(counts.Deaths) > 0 {
			t.Errorf("without %s: %+v", skip, counts)
		}
	}
}
