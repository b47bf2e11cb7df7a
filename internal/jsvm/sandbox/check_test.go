package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jsvm"
)

// TestHostileAnswers: a child that a script has taken over gains nothing by what it sends.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	limits := jsvm.Limits{ArgBytes: 20, TotalCalls: 3, ConsoleBytes: 100, SourceBytes: 100, VariableBytes: 20, WorkspaceBytes: 30}.WithDefaults()
	s := &session{setup: jsvm.Setup{Grants: grants}, limits: limits, cell: &jsvm.Cell{Recorded: []jsvm.Call{{ID: 1, Name: "fetchIt", Args: []byte("[1]")}}}}
	hash := strings.Repeat("0", 32)
	pending := func(calls ...jsvm.Call) *reply {
		return &reply{Step: &jsvm.Step{State: jsvm.Pending, Hash: hash, Calls: calls}}
	}
	ended := func(changes ...jsvm.Variable) *reply {
		return &reply{Step: &jsvm.Step{State: jsvm.Done, Hash: hash}, Changes: &jsvm.Changes{Set: changes}}
	}
	sets := func(list ...jsvm.Set) *reply {
		rep := pending(jsvm.Call{ID: 2, Name: "wait", Args: []byte("[]")})
		rep.Step.Sets = list
		return rep
	}
	call := func(id int, name, args string) jsvm.Call { return jsvm.Call{ID: id, Name: name, Args: []byte(args)} }
	for _, c := range []struct {
		name  string
		reply *reply
		says  string
	}{
		{"nothing", &reply{}, "no step"},
		{"unknown state", &reply{Step: &jsvm.Step{State: "rich", Hash: hash}}, `state "rich"`},
		{"no hash", &reply{Step: &jsvm.Step{State: jsvm.Pending, Hash: "zz"}}, `hash "zz"`},
		{"changes of an open cell", &reply{Step: &jsvm.Step{State: jsvm.Pending, Hash: hash}, Changes: &jsvm.Changes{}}, "changes of a cell that is pending"},
		{"an end without changes", &reply{Step: &jsvm.Step{State: jsvm.Done, Hash: hash}}, "no changes"},
		{"done with an error", &reply{Step: &jsvm.Step{State: jsvm.Done, Hash: hash, Err: &jsvm.Error{}}, Changes: &jsvm.Changes{}}, "does not fit the state done"},
		{"failed without one", &reply{Step: &jsvm.Step{State: jsvm.Failed, Hash: hash}, Changes: &jsvm.Changes{}}, "does not fit the state failed"},
		{"exit while pending", &reply{Step: &jsvm.Step{State: jsvm.Pending, Hash: hash, Exit: &jsvm.Exit{}}}, "an exit that does not fit"},
		{"exit with no JSON", &reply{Step: &jsvm.Step{State: jsvm.Done, Hash: hash, Exit: &jsvm.Exit{Result: []byte("{")}}, Changes: &jsvm.Changes{}}, "an exit that does not fit"},
		{"a call out of turn", pending(call(3, "fetchIt", "[]")), "call 3 where 2 was due"},
		{"a recorded call again", pending(call(1, "fetchIt", "[]")), "call 1 where 2 was due"},
		{"a call that is not granted", pending(call(2, "dropDatabase", "[]")), `"dropDatabase", which is not granted`},
		{"arguments over the limit", pending(call(2, "fetchIt", `["aaaaaaaaaaaaaaaaaaaaaaaaaa"]`)), "30 bytes of arguments; the limit is 20"},
		{"arguments that are no array", pending(call(2, "fetchIt", `{"a":1}`)), "no JSON array"},
		{"arguments that are no JSON", pending(call(2, "fetchIt", `[1,`)), "no JSON array"},
		{"too many calls", pending(call(2, "fetchIt", "[]"), call(3, "fetchIt", "[]"), call(4, "fetchIt", "[]")), "4 calls; the limit is 3"},
		{"a set of another kind", sets(jsvm.Set{Mode: "all", Calls: []int{1, 2}}), `a set of mode "all"`},
		{"a set of calls that were not made", sets(jsvm.Set{Mode: "first", Calls: []int{1, 3}}), "a set of calls [1 3] of 2"},
		{"an honest set", sets(jsvm.Set{Mode: "first", Calls: []int{1, 2}, Won: 1}), ""},
		{"a flood of text", &reply{Step: &jsvm.Step{State: jsvm.Pending, Hash: hash, Console: []string{strings.Repeat("x", 1e6)}}}, "bytes of text"},
		{"a variable over the limit", ended(jsvm.Variable{Name: "v", Value: []byte(`"aaaaaaaaaaaaaaaaaaaaaaaaaa"`)}), "28 bytes; the limit is 20"},
		{"variables over the limit", ended(jsvm.Variable{Name: "a", Value: []byte(`"aaaaaaaaaaaaaaaa"`)}, jsvm.Variable{Name: "b", Value: []byte(`"aaaaaaaaaaaaaaaa"`)}), "36 bytes; the limit is 30"},
		{"a variable that is no JSON", ended(jsvm.Variable{Name: "v", Value: []byte("{")}), "no JSON"},
		{"a variable without a value", ended(jsvm.Variable{Name: "v"}), "neither or both"},
		{"an honest call", pending(call(2, "search", `[{"a":1}]`)), ""},
		{"an honest end", ended(jsvm.Variable{Name: "v", Value: []byte("1")}, jsvm.Variable{Name: "w", Refused: "a closure"}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := s.check(c.reply, &request{Deliver: []jsvm.Delivery{{Call: 1}}})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// endless gives bytes for ever and counts them.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return len(b), nil
}

// TestFrameLengths: what a length claims costs nothing until the bytes are there.
func TestFrameLengths(t *testing.T) {
	t.Parallel()
	head := func(n uint32) io.Reader { return bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)) }
	flood := &endless{}
	if err := readFrame(io.MultiReader(head(1<<31), flood), 1<<20, &reply{}); !errors.Is(err, errFrame) || flood.read > 0 {
		t.Errorf("a frame over the limit: %v, %d bytes read", err, flood.read)
	}
	if err := readFrame(io.MultiReader(head(1<<19), strings.NewReader("short")), 1<<20, &reply{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a frame that is cut off: %v", err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		_ = readFrame(io.MultiReader(head(1<<30), strings.NewReader("short")), 1<<30, &reply{})
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<30 {
		t.Errorf("%d bytes for claims", after.TotalAlloc-before.TotalAlloc)
	}
}

// TestFramesKeepEverything: what goes in comes out, nil and empty apart.
func TestFramesKeepEverything(t *testing.T) {
	t.Parallel()
	in := reply{
		Number: 7, Session: 9, Heap: -1,
		Step: &jsvm.Step{
			State: jsvm.Pending, Hash: "aa", Echo: "e\x00é", Console: []string{"", "\u2028"}, Transformed: "t",
			Calls: []jsvm.Call{{ID: 1, Name: "a", Args: []byte("[\x00]")}}, Err: &jsvm.Error{Name: "E", Message: "m", Code: "c", Stack: "s"}, Exit: &jsvm.Exit{},
		},
		Changes: &jsvm.Changes{Set: []jsvm.Variable{{Name: "n", Value: []byte{}, Type: "t", Refused: "r"}}, Deleted: []string{"d"}, Notes: []string{"n"}},
	}
	var pipe bytes.Buffer
	if err := writeFrame(&pipe, &in); err != nil {
		t.Fatal(err)
	}
	var out reply
	if err := readFrame(&pipe, 1<<20, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out, cmp.AllowUnexported(reply{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzReadFrame(f *testing.F) {
	var pipe bytes.Buffer
	if err := writeFrame(&pipe, &reply{Step: &jsvm.Step{State: jsvm.Done}, Changes: &jsvm.Changes{}}); err != nil {
		f.Fatal(err)
	}
	f.Add(pipe.Bytes())
	f.Add([]byte{0, 0, 0, 1, 0xff})
	f.Add([]byte{0, 0, 0, 9, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	s := &session{setup: jsvm.Setup{Grants: grants}, limits: jsvm.Limits{}.WithDefaults()}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var rep reply
		if err := readFrame(bytes.NewReader(frame), 1<<20, &rep); err == nil {
			_ = s.check(&rep, &request{})
		}
	})
}

// TestAProgramThatIsNoChild: what answers wrongly from the start is no child.
func TestAProgramThatIsNoChild(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"garbage":  "#!/bin/sh\nhead -c 100 /dev/zero; read x",
		"a flood":  "#!/bin/sh\nprintf '\\377\\377\\377\\377'; exec cat /dev/zero",
		"silence":  "#!/bin/sh\nexit 3",
		"no frame": "#!/bin/sh\necho hello world, this is a program",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "child")
			if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			p := newPool(t, Config{binary: path})
			_, err := open(t, p, jsvm.Setup{}).Run(t.Context(), jsvm.Cell{Source: "1"})
			if !errors.Is(err, jsvm.ErrUnavailable) || !strings.Contains(err.Error(), "start a sandbox child") {
				t.Errorf("%v", err)
			}
			if _, children := p.Counts(); children != 0 {
				t.Error(fmt.Sprint(children, " children"))
			}
		})
	}
}
