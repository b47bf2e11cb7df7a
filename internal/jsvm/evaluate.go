package jsvm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/unistring"
)

const evalOff = "%s is off: code that is made from text cannot be recorded and replayed safely; write a function instead"

// makeError makes an error of the built-in type of that name, or a plain one that bears it.
func (s *session) makeError(name, message, code string) *goja.Object {
	ctor, known := s.js.errors[0], false
	switch at := slices.Index(engineErrors[:], name); {
	case at >= 0:
		ctor, known = s.js.errors[at], true
	case name == "EvalError" || name == "URIError":
		ctor, known = s.native(name), true
	}
	e, err := s.vm.New(ctor, s.vm.ToValue(message))
	if err != nil {
		panic(err) // an interrupt, or no stack left: goja carries it on
	}
	hide := func(key, value string) {
		_ = e.DefineDataProperty(key, s.vm.ToValue(value), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	if !known && name != "Error" {
		hide("name", name)
	}
	hide("stack", name+": "+message)
	if code != "" {
		_ = e.DefineDataProperty("code", s.vm.ToValue(code), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	}
	return e
}

// evaluate is eval where it is allowed: always indirect, so that code in it closes over globals only, and
// parsed by us, so that bounds hold and its functions are known.
func (s *session) evaluate(call goja.FunctionCall) goja.Value {
	if !s.limits.AllowEval {
		panic(s.makeError("EvalError", fmt.Sprintf(evalOff, "eval"), ""))
	}
	return s.runText(call.Argument(0).String())
}

// makeFunction is what the Function constructors do.
func (s *session) makeFunction(call goja.FunctionCall) goja.Value {
	keyword, body, params := call.Argument(0).String(), call.Argument(1).String(), call.Argument(2).String()
	if !s.limits.AllowEval {
		panic(s.makeError("EvalError", fmt.Sprintf(evalOff, "making a function from text"), ""))
	}
	// Both parts must be whole on their own, or "}, evil(), {" would reach outside.
	for _, part := range []string{"(" + keyword + "(\n){" + body + "\n})", "(" + keyword + "(" + params + "\n){})"} {
		if _, err := s.parseText(part); err != nil {
			panic(s.makeError("SyntaxError", err.Error(), ""))
		}
	}
	return s.runText("(" + keyword + " anonymous(" + params + "\n) {\n" + body + "\n})")
}

func (s *session) parseText(source string) (*ast.Program, error) {
	if _, err := prescan(source, s.limits, false); err != nil {
		return nil, err
	}
	program, err := parser.ParseFile(nil, "eval", source, 0, parser.WithDisableSourceMaps)
	if err != nil {
		var list parser.ErrorList
		if errors.As(err, &list) && len(list) > 0 {
			return nil, fmt.Errorf("%s (eval:%d:%d)", list[0].Message, list[0].Position.Line, list[0].Position.Column) //nolint:err113 // text for a script
		}
		return nil, err
	}
	return program, nil
}

func (s *session) runText(source string) goja.Value {
	program, err := s.parseText(source)
	if err != nil {
		panic(s.makeError("SyntaxError", err.Error(), ""))
	}
	r := newResolver(program.File)
	r.script(program)
	s.register(r.callables)
	s.literals(r.literals)
	compiled, err := goja.CompileAST(program, true)
	if err != nil {
		panic(s.makeError("SyntaxError", err.Error(), ""))
	}
	v, err := s.vm.RunProgram(compiled)
	if err != nil {
		var ex *goja.Exception
		if errors.As(err, &ex) {
			panic(ex.Value())
		}
		panic(err)
	}
	return v
}

// script resolves a program whose own declarations are local to it, as in strict eval.
func (r *resolver) script(p *ast.Program) {
	r.scope = &scope{names: map[unistring.String]bool{}, top: true}
	defer r.open(nil)()
	r.declareVars(p.DeclarationList)
	r.declareList(p.Body)
	r.statements(p.Body)
}
