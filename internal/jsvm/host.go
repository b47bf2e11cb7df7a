package jsvm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// builtins are the names besides the grants that a cell can neither declare nor assign.
var builtins = []string{"print", "console", "docs", "tools", "exit", "panic", "undefined", "NaN", "Infinity", "globalThis"}

func (s *session) isProtected(name string) bool {
	return slices.Contains(builtins, name) || slices.ContainsFunc(s.grants, func(g Grant) bool { return g.root() == name })
}

// hostGlobals adds print, console, docs, tools, exit and panic, and what only code of ours names. All are read-only.
func (r *realm) hostGlobals(t *template) {
	hosts := map[string]func(*session) goja.Value{
		"print": func(s *session) goja.Value { return s.host("print", 0, s.printer) },
		"docs":  func(s *session) goja.Value { return s.host("docs", 1, s.docs) },
		"tools": func(s *session) goja.Value { return s.host("tools", 0, s.tools) },
		"exit":  func(s *session) goja.Value { return s.host("exit", 1, s.exit) },
		"panic": func(s *session) goja.Value {
			return s.host("panic", 1, func(call goja.FunctionCall) goja.Value {
				s.print("panic: " + s.js.line(call.Arguments))
				return goja.Undefined()
			})
		},
		"console":      (*session).console,
		hiddenClean:    func(s *session) goja.Value { return s.vm.ToValue(s.clean) },
		hiddenSize:     func(s *session) goja.Value { return s.vm.ToValue(s.size) },
		hiddenExponent: func(s *session) goja.Value { return s.vm.ToValue(s.exponent) },
	}
	for _, name := range []string{"print", "console", "docs", "tools", "exit", "panic", hiddenClean, hiddenSize, hiddenExponent} {
		t.put(name, r.session(func(s *session) goja.Value { return r.layout.made(hosts[name](s), false) }))
	}
}

func (s *session) console() goja.Value {
	console := s.vm.NewObject()
	for _, level := range []string{"log", "info", "warn", "error", "debug"} {
		_ = console.DefineDataProperty(level, s.host(level, 0, s.printer), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
	}
	s.layout.shut(console)
	return console
}

func (s *session) printer(call goja.FunctionCall) goja.Value {
	s.print(s.js.line(call.Arguments))
	return goja.Undefined()
}

// function makes a function of a name and a number of parameters.
func (s *session) function(name string, length int, f func(goja.FunctionCall) goja.Value) *goja.Object {
	o := s.vm.ToValue(f).(*goja.Object)
	s.layout.label(o, s.vm.ToValue(name), s.vm.ToValue(length), true)
	return o
}

// host makes a function that scripts cannot change.
func (s *session) host(name string, length int, f func(goja.FunctionCall) goja.Value) goja.Value {
	o := s.vm.ToValue(f).(*goja.Object)
	s.layout.label(o, s.vm.ToValue(name), s.vm.ToValue(length), false)
	s.layout.shut(o)
	return o
}

// clean takes byte-code offsets out of an error's stack before a script reads it.
func (s *session) clean(call goja.FunctionCall) goja.Value {
	v := call.Argument(0)
	if o, ok := v.(*goja.Object); ok && s.js.kind(o) == "Error" {
		if p, ok := s.js.ownNamed(o, "stack"); ok && !p.accessor && p.writable && p.configurable && goja.IsString(p.value) {
			text := p.value.String()
			if better := cleanStack(text); better != text {
				_ = o.DefineDataProperty("stack", s.vm.ToValue(better), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.ToFlag(p.enumerable))
			}
		}
	}
	return v
}

func (s *session) print(line string) {
	if s.cell == nil {
		return
	}
	s.cell.hash.add("print", line)
	s.cell.console.add(line)
}

// hostCall makes a numbered call, or rejects without a number when a limit is reached.
func (s *session) hostCall(g Grant, call goja.FunctionCall) goja.Value {
	c := s.cell
	promise, resolve, reject := s.vm.NewPromise()
	value := s.vm.ToValue(promise)
	refuse := func(name, code, message string) goja.Value {
		_ = reject(s.makeError(name, message, code))
		return value
	}
	if c == nil || c.exit != nil {
		return refuse("Error", "", g.Name+" was called outside of a cell")
	}
	args, problem := s.encodeArgs(g, call.Arguments)
	if o, ok := value.(*goja.Object); ok && g.Wait {
		c.promises[o] = refusedCall
	}
	switch {
	case problem != nil:
		_ = reject(problem)
		return value
	case len(args) > s.limits.ArgBytes:
		return refuse("LimitError", "limit", fmt.Sprintf("the arguments of %s have %d bytes; the limit is %d (arg_bytes); pass less, or in several calls", g.Name, len(args), s.limits.ArgBytes))
	case c.open >= s.limits.PendingCalls:
		return refuse("LimitError", "limit", fmt.Sprintf("%d calls are pending; the limit is %d (pending_calls); await some before making more", c.open, s.limits.PendingCalls))
	case c.made >= s.limits.TotalCalls:
		return refuse("LimitError", "limit", fmt.Sprintf("this cell has made %d calls; the limit is %d (total_calls); go on in another cell", c.made, s.limits.TotalCalls))
	}
	c.made++
	c.open++
	if !g.Wait {
		c.tools++
	}
	made := Call{ID: c.made, Name: g.Name, Args: args}
	c.calls[made.ID] = &pendingCall{name: g.Name, wait: g.Wait, resolve: resolve, reject: reject}
	if o, ok := value.(*goja.Object); ok && g.Wait {
		c.promises[o] = made.ID
	}
	c.hash.call(made)
	if made.ID > len(c.recorded) {
		c.fresh = append(c.fresh, made)
		return value
	}
	if want := c.recorded[made.ID-1]; want.Name != made.Name || string(want.Args) != string(made.Args) {
		c.diverged = c.divergence(divergedCall(want, made))
		s.vm.Interrupt(c.diverged)
	}
	return value
}

// exit ends the cell at once: an interrupt runs no further code, not even finally blocks.
func (s *session) exit(call goja.FunctionCall) goja.Value {
	c := s.cell
	if c == nil || c.exit != nil {
		return goja.Undefined()
	}
	exit := &Exit{}
	if v := call.Argument(0); !goja.IsUndefined(v) {
		text, err := s.stringify(v)
		if err != nil {
			panic(err)
		}
		if goja.IsUndefined(text) {
			panic(s.vm.NewTypeError("exit takes a value that JSON can express, not %s", s.js.render(v)))
		}
		exit.Result = []byte(text.String())
	}
	c.exit = exit
	c.hash.add("exit", string(exit.Result))
	s.vm.Interrupt(exit)
	return goja.Undefined()
}

// docs returns the description of one tool.
func (s *session) docs(call goja.FunctionCall) goja.Value {
	name := call.Argument(0).String()
	if f, ok := call.Argument(0).(*goja.Object); ok {
		if v := s.js.data(f, "name"); v != nil {
			name = v.String()
		}
	}
	for _, g := range append(slices.Clone(s.grants), preludeDocs()...) {
		if g.Name == name {
			return s.vm.ToValue(grantDocs(g))
		}
	}
	if text := s.spaceDocs(call.Argument(0)); text != "" {
		return s.vm.ToValue(text)
	}
	names := make([]string, 0, len(s.grants))
	for _, g := range s.grants {
		names = append(names, g.Name)
	}
	panic(s.vm.NewTypeError("there is no tool '%s'; there are: %s", name, strings.Join(names, ", ")))
}

func grantDocs(g Grant) string {
	text := signature(g)
	if g.Doc != "" {
		text += "\n\n" + strings.TrimSpace(g.Doc)
	}
	return text
}

func signature(g Grant) string {
	if g.Signature == "" {
		return "declare function " + g.Name + "(...args: any[]): Promise<any>"
	}
	return g.Signature
}

// tools lists what may be called.
func (s *session) tools(goja.FunctionCall) goja.Value {
	type entry struct {
		Name        string `json:"name"`
		Signature   string `json:"signature"`
		Description string `json:"description,omitempty"`
	}
	list := []entry{}
	for _, g := range append(slices.Clone(s.grants), preludeDocs()...) {
		first, _, _ := strings.Cut(strings.TrimSpace(g.Doc), "\n")
		list = append(list, entry{g.Name, signature(g), first})
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(s.vm.NewGoError(err))
	}
	return s.js.must(callParse, s.vm.ToValue(string(text)))
}
