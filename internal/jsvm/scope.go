package jsvm

import (
	"sync/atomic"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/unistring"
)

// callable is what is known statically about a function or class literal.
type callable struct {
	source string
	kind   callableKind
	// hoisted marks a top-level function declaration: its name is a variable of the workspace, not a
	// binding of its own, so recursion sees later redefinitions.
	hoisted bool
	// selfName is the name that the function sees itself under.
	selfName string
	// captures is the first name of an enclosing scope that it closes over; empty when it needs nothing
	// but globals, so that its source text is all there is to keep.
	captures string
	super    bool
	length   int
	class    *ast.ClassLiteral
	parent   *callable
	arrow    bool
	// whole remembers whether the source was found to be: one of the states below. Sessions share it.
	whole *atomic.Uint32
}

type callableKind string

const (
	kindFunction callableKind = "function"
	kindMethod   callableKind = "method"
	kindMember   callableKind = "member" // a method of a class
	kindClass    callableKind = "class"
)

// scope is one lexical scope. The outermost one holds the names that become workspace variables.
type scope struct {
	parent *scope
	names  map[unistring.String]bool
	owner  *callable // the innermost callable that the scope belongs to; nil outside all of them
	top    bool
}

// resolver walks a cell once: it resolves every name, finds what each function closes over, collects free
// names and mends literals that goja gets wrong.
type resolver struct {
	file      *file.File // what was parsed
	scope     *scope
	callables []*callable
	literals  literals
	bound     map[string]bool // top-level names bound so far
	free      []string
	seen      map[string]bool
	values    map[string]bool // top-level and free names that are used other than by calling them
	declared  []string
	// declarations are function statements: their name belongs to the scope around them.
	// hoisted are those of the top level.
	declarations map[*ast.FunctionLiteral]bool
	hoisted      map[*ast.FunctionLiteral]bool
}

// literals are the kinds of literals in a source that lead to built-ins.
type literals struct{ regexp, generator, async bool }

func newResolver(f *file.File) *resolver {
	return &resolver{file: f, bound: map[string]bool{}, seen: map[string]bool{}, values: map[string]bool{}, hoisted: map[*ast.FunctionLiteral]bool{}, declarations: map[*ast.FunctionLiteral]bool{}}
}

// cell resolves the statements of a cell.
func (r *resolver) cell(body []ast.Statement, vars []*ast.VariableDeclaration, temps map[unistring.String]bool) {
	top := &scope{names: map[unistring.String]bool{}, top: true}
	if len(temps) > 0 {
		// They are locals of the arrow: outside of what the cell declares, and no globals.
		top.parent = &scope{names: temps}
	}
	r.scope = top
	r.declareList(body)
	r.declareVars(vars)
	for _, st := range body {
		if fn, ok := st.(*ast.FunctionDeclaration); ok {
			r.hoisted[fn.Function] = true
			r.bound[fn.Function.Name.Name.String()] = true
		}
	}
	r.statements(body)
}

func (r *resolver) declare(name unistring.String) {
	if r.scope.top && !r.scope.names[name] {
		r.declared = append(r.declared, name.String())
	}
	r.scope.names[name] = true
}

// declareList declares what a statement list binds in its own scope.
func (r *resolver) declareList(list []ast.Statement) {
	for _, st := range list {
		switch st := st.(type) {
		case *ast.LexicalDeclaration:
			for _, b := range st.List {
				eachTarget(b.Target, r.declare)
			}
		case *ast.FunctionDeclaration:
			r.declare(st.Function.Name.Name)
		case *ast.ClassDeclaration:
			r.declare(st.Class.Name.Name)
		}
	}
}

func (r *resolver) declareVars(vars []*ast.VariableDeclaration) {
	for _, decl := range vars {
		for _, b := range decl.List {
			eachTarget(b.Target, r.declare)
		}
	}
}

// eachTarget calls f with every name that a binding pattern binds.
func eachTarget(target ast.Expression, f func(unistring.String)) {
	switch t := target.(type) {
	case nil:
	case *ast.Identifier:
		f(t.Name)
	case *ast.AssignExpression:
		eachTarget(t.Left, f)
	case *ast.Binding:
		eachTarget(t.Target, f)
	case *ast.ArrayPattern:
		for _, e := range t.Elements {
			eachTarget(e, f)
		}
		eachTarget(t.Rest, f)
	case *ast.ObjectPattern:
		for _, p := range t.Properties {
			switch p := p.(type) {
			case *ast.PropertyShort:
				f(p.Name.Name)
			case *ast.PropertyKeyed:
				eachTarget(p.Value, f)
			}
		}
		eachTarget(t.Rest, f)
	case *ast.SpreadElement:
		eachTarget(t.Expression, f)
	}
}

func (r *resolver) open(owner *callable) func() {
	outer := r.scope
	r.scope = &scope{parent: outer, names: map[unistring.String]bool{}, owner: owner}
	return func() { r.scope = outer }
}

// use resolves one name where it is used as a value.
func (r *resolver) use(name unistring.String, reads bool) {
	if r.refer(name, reads) {
		r.values[name.String()] = true
	}
}

// called lists the free names that are only ever called.
func (r *resolver) called() []string {
	var out []string
	for _, name := range r.free {
		if !r.values[name] {
			out = append(out, name)
		}
	}
	return out
}

// refer resolves one name; outer says that it is no local of a scope inside the cell.
func (r *resolver) refer(name unistring.String, reads bool) (outer bool) {
	for s := r.scope; s != nil; s = s.parent {
		if !s.names[name] {
			continue
		}
		if s.top {
			break
		}
		for f := r.scope.owner; f != nil && f != s.owner; f = f.parent {
			if f.captures == "" {
				f.captures = name.String()
			}
		}
		return false
	}
	text := name.String()
	if !reads || r.seen[text] {
		return true
	}
	top := r.topScope()
	if r.scope.owner == nil && !r.bound[text] || r.scope.owner != nil && !top.names[name] {
		r.seen[text] = true
		r.free = append(r.free, text)
	}
	return true
}

func (r *resolver) topScope() *scope {
	s := r.scope
	for s.parent != nil && !s.top {
		s = s.parent
	}
	return s
}

// useThis marks arrows that take this, super or arguments from the function around them.
func (r *resolver) useThis(what string, super bool) {
	f := r.scope.owner
	for f != nil && f.arrow {
		f = f.parent
	}
	if f == nil {
		return
	}
	f.super = f.super || super
	for g := r.scope.owner; g != f; g = g.parent {
		if g.captures == "" {
			g.captures = what
		}
	}
}

// bind marks top-level names as bound from here on.
func (r *resolver) bind(target ast.Expression) {
	if r.scope.owner != nil {
		return
	}
	eachTarget(target, func(name unistring.String) {
		if r.isTop(name) {
			r.bound[name.String()] = true
		}
	})
}

func (r *resolver) isTop(name unistring.String) bool {
	for s := r.scope; s != nil; s = s.parent {
		if s.names[name] {
			return s.top
		}
	}
	return false
}

func (r *resolver) enter(source string, kind callableKind, arrow bool) *callable {
	c := &callable{source: source, kind: kind, parent: r.scope.owner, arrow: arrow, whole: new(atomic.Uint32)}
	r.callables = append(r.callables, c)
	return c
}

func (r *resolver) function(fn *ast.FunctionLiteral, kind callableKind) {
	r.literals.async = r.literals.async || fn.Async
	r.literals.generator = r.literals.generator || fn.Generator
	c := r.enter(fn.Source, kind, false)
	c.length = paramCount(fn.ParameterList)
	c.hoisted = r.hoisted[fn]
	if fn.Name != nil {
		c.selfName = fn.Name.Name.String()
		if kind == kindFunction && !r.declarations[fn] {
			defer r.open(c)()
			r.scope.names[fn.Name.Name] = true
		}
	}
	defer r.open(c)()
	r.scope.names["arguments"] = true
	r.parameters(fn.ParameterList)
	r.declareVars(fn.DeclarationList)
	r.declareList(fn.Body.List)
	r.statements(fn.Body.List)
}

func (r *resolver) arrow(fn *ast.ArrowFunctionLiteral) {
	r.literals.async = r.literals.async || fn.Async
	fn.Source = r.whole(fn)
	c := r.enter(fn.Source, kindFunction, true)
	c.length = paramCount(fn.ParameterList)
	defer r.open(c)()
	r.parameters(fn.ParameterList)
	r.declareVars(fn.DeclarationList)
	switch body := fn.Body.(type) {
	case *ast.BlockStatement:
		r.declareList(body.List)
		r.statements(body.List)
	case *ast.ExpressionBody:
		r.expr(body.Expression)
	}
}

func (r *resolver) parameters(list *ast.ParameterList) {
	for _, p := range list.List {
		eachTarget(p.Target, r.declare)
	}
	eachTarget(list.Rest, r.declare)
	for _, p := range list.List {
		r.pattern(p.Target)
		r.expr(p.Initializer)
	}
	r.pattern(list.Rest)
}

func paramCount(list *ast.ParameterList) int {
	for i, p := range list.List {
		if p.Initializer != nil {
			return i
		}
	}
	return len(list.List)
}

func (r *resolver) class(c *ast.ClassLiteral) {
	// The heritage is evaluated once and kept as a value: the class does not close over the names in it.
	r.expr(c.SuperClass)
	info := r.enter(c.Source, kindClass, false)
	info.class = c
	defer r.open(info)()
	if c.Name != nil {
		info.selfName = c.Name.Name.String()
		r.scope.names[c.Name.Name] = true
	}
	for _, el := range c.Body {
		switch el := el.(type) {
		case *ast.FieldDefinition:
			if el.Computed {
				r.expr(el.Key)
			}
			r.expr(el.Initializer)
		case *ast.MethodDefinition:
			if el.Computed {
				r.expr(el.Key)
			}
			r.function(el.Body, kindMember)
		case *ast.ClassStaticBlock:
			done := r.open(info)
			r.declareVars(el.DeclarationList)
			r.declareList(el.Block.List)
			r.statements(el.Block.List)
			done()
		}
	}
}
