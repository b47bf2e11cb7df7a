package jsvm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/unistring"
)

// fill gives an object its contents, then its attributes, then closes it.
func (r *restorer) fill(o *goja.Object, tag string, made *goja.Object) error {
	vm, js := r.s.vm, r.js
	payload := r.get(o, tag)
	switch tag {
	case "$object":
		if err := r.members(payload.ToObject(vm), made); err != nil {
			return err
		}
	case "$array":
		if err := r.members(payload.ToObject(vm), made); err != nil {
			return err
		}
	case "$sparse":
		if err := made.DefineDataProperty("length", payload, goja.FLAG_TRUE, goja.FLAG_FALSE, goja.FLAG_FALSE); err != nil {
			return err
		}
		if err := r.members(r.get(o, "$items").ToObject(vm), made); err != nil {
			return err
		}
	case "$map", "$set":
		for _, item := range r.items(payload) {
			if tag == "$set" {
				js.must(callSetAdd, made, r.value(item))
				continue
			}
			pair := r.parts(item, 2)
			js.must(callMapSet, made, r.value(pair[0]), r.value(pair[1]))
		}
	}
	if props := r.get(o, "$props"); props != nil {
		if err := r.members(props.ToObject(vm), made); err != nil {
			return err
		}
	}
	if patch := r.get(o, "$prototype"); patch != nil {
		proto, _ := js.data(made, "prototype").(*goja.Object)
		text := patch.ToObject(vm)
		if err := r.members(r.get(text, "$object").ToObject(vm), proto); err != nil {
			return err
		}
		if err := r.details(text, proto); err != nil {
			return err
		}
	}
	return r.details(o, made)
}

func (r *restorer) members(from, to *goja.Object) error {
	for _, key := range from.Keys() {
		if err := r.put(to, r.s.vm.ToValue(key), r.value(r.get(from, key)), defaultAttrs); err != nil {
			return err
		}
	}
	return r.err
}

func (r *restorer) put(to *goja.Object, key, value goja.Value, attrs string) error {
	w, e, c := goja.ToFlag(strings.Contains(attrs, "w")), goja.ToFlag(strings.Contains(attrs, "e")), goja.ToFlag(strings.Contains(attrs, "c"))
	var err error
	if sym, ok := key.(*goja.Symbol); ok {
		err = to.DefineDataPropertySymbol(sym, value, w, c, e)
	} else if strings.Contains(key.String(), "\ufffd") { // perhaps no valid Unicode
		if !r.js.define(to, key, value, attrs) {
			err = errors.New("it cannot be defined")
		}
	} else {
		if old, ok := r.js.own(to, key); ok && !old.configurable { // lastIndex of a RegExp, prototype of a function
			w, e, c = goja.ToFlag(old.writable && strings.Contains(attrs, "w")), goja.ToFlag(old.enumerable), goja.FLAG_FALSE
		}
		err = to.DefineDataProperty(key.String(), value, w, c, e)
	}
	if err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	return nil
}

// details applies symbols and other keys that JSON has no place for, attributes and extensibility.
func (r *restorer) details(o, made *goja.Object) error {
	vm, js := r.s.vm, r.js
	if list := r.get(o, "$keys"); list != nil {
		for _, item := range r.items(list) {
			entry := r.parts(item, 3)
			key := r.value(entry[0])
			if _, isObject := key.(*goja.Object); isObject {
				r.broken("a key is an object") // whose toString would be asked
				continue
			}
			if err := r.put(made, key, r.value(entry[1]), entry[2].String()); err != nil {
				return err
			}
		}
	}
	ext := ""
	if v := r.get(o, "$ext"); v != nil {
		ext = v.String()
	}
	usual := map[string]string{"frozen": "e", "sealed": "we"}[ext]
	attrs := map[string]string{}
	if v := r.get(o, "$attrs"); v != nil {
		for _, key := range v.ToObject(vm).Keys() {
			attrs[key] = r.get(v.ToObject(vm), key).String()
		}
	}
	if usual != "" || len(attrs) > 0 {
		for _, key := range js.keys(made) {
			p, ok := js.own(made, key)
			if !ok || p.accessor {
				continue
			}
			want, ok := attrs[p.name]
			if _, isSymbol := key.(*goja.Symbol); isSymbol || !ok && usual == "" {
				continue
			}
			if !ok { // what the source made keeps being hidden
				want = strings.Trim(usual, "we")
				if p.writable && strings.Contains(usual, "w") {
					want += "w"
				}
				if p.enumerable {
					want += "e"
				}
			}
			if !p.configurable && (!p.writable || strings.Contains(want, "w")) {
				continue // nothing is left to be taken from it
			}
			if err := r.put(made, key, p.value, want); err != nil {
				return err
			}
		}
	}
	if ext != "" {
		js.must(callPreventExtensions, made)
	}
	return nil
}

// hiddenSuper and hiddenSymbol are what the text of a class or a method takes from the session that makes it.
const (
	hiddenSuper  = "%super"
	hiddenSymbol = "%symbol"
)

// function makes a function from its source. The text is one literal, checked, so making it runs nothing.
func (r *restorer) function(o *goja.Object, source string) (*goja.Object, error) {
	method := r.get(o, "$kind") != nil
	program, body, err := functionLiteral(source, method)
	if err != nil {
		return nil, err
	}
	if literal, ok := body.(*ast.ObjectLiteral); ok {
		bindSymbol(literal.Value[0].(*ast.PropertyKeyed).Key)
	}
	hoisted := r.get(o, "$hoisted") != nil
	if lit, ok := body.(*ast.FunctionLiteral); ok && hoisted && lit.Name != nil {
		lit.Name = nil
	}
	made, err := r.run(program, source, hoisted)
	if err != nil {
		return nil, err
	}
	if method {
		p, _ := r.js.own(made, r.js.keys(made)[0])
		made, _ = p.value.(*goja.Object)
	}
	return made, r.rename(o, made)
}

// class makes a class from its source without its static fields and blocks, whose results are kept as
// data, and with the superclass it had.
func (r *restorer) class(o *goja.Object, source string) (*goja.Object, error) {
	program, class, err := classLiteral(source)
	if err != nil {
		return nil, err
	}
	keep := *class
	if slices.ContainsFunc(class.Body, computedElement) || class.SuperClass != nil && r.get(o, "$super") == nil {
		return nil, errors.New("jsvm: making a class of a workspace row would run code")
	}
	class.Body = slices.DeleteFunc(slices.Clone(class.Body), func(el ast.ClassElement) bool {
		f, isField := el.(*ast.FieldDefinition)
		_, isBlock := el.(*ast.ClassStaticBlock)
		return isBlock || isField && f.Static
	})
	bindSymbols(class)
	args := []goja.Value{goja.Undefined()}
	if super := r.get(o, "$super"); super != nil {
		class.SuperClass = &ast.Identifier{Name: hiddenSuper, Idx: class.Class}
		args[0] = r.value(super)
	}
	made, err := r.run(program, source, false, args...)
	if err != nil {
		return nil, err
	}
	if c := r.s.sources[source]; c != nil {
		c.class = &keep
	}
	r.s.noteClass(made)
	return made, r.rename(o, made)
}

// functionLiteral parses the source of a function, or of a method of an object.
func functionLiteral(source string, method bool) (*ast.Program, ast.Expression, error) {
	open, end := "((_)=>(", "\n))"
	if method {
		open, end = "((_)=>({", "\n}))"
	}
	program, body, err := literal(open + source + end)
	if err != nil {
		return nil, nil, err
	}
	switch lit := body.(type) {
	case *ast.FunctionLiteral, *ast.ArrowFunctionLiteral:
		if !method {
			return program, body, nil
		}
	case *ast.ObjectLiteral:
		if method && len(lit.Value) == 1 {
			if p, ok := lit.Value[0].(*ast.PropertyKeyed); ok && p.Kind == ast.PropertyKindMethod && (!p.Computed || wellKnown(p.Key)) {
				return program, body, nil
			}
		}
	}
	return nil, nil, errors.New("jsvm: source in a workspace row is not a function")
}

// classLiteral parses the source of a class.
func classLiteral(source string) (*ast.Program, *ast.ClassLiteral, error) {
	program, body, err := literal("((_)=>(" + source + "\n))")
	if err != nil {
		return nil, nil, err
	}
	class, ok := body.(*ast.ClassLiteral)
	if !ok {
		return nil, nil, errors.New("jsvm: source in a workspace row is not a class")
	}
	return program, class, nil
}

// bindSymbols makes computed names such as [Symbol.iterator] what they were when the class was declared: a
// variable of that name may have been restored.
func bindSymbols(class *ast.ClassLiteral) {
	for _, el := range class.Body {
		switch el := el.(type) {
		case *ast.FieldDefinition:
			bindSymbol(el.Key)
		case *ast.MethodDefinition:
			bindSymbol(el.Key)
		}
	}
}

func bindSymbol(key ast.Expression) {
	if dot, ok := key.(*ast.DotExpression); ok && wellKnown(key) {
		dot.Left = &ast.Identifier{Name: hiddenSymbol, Idx: dot.Left.Idx0()}
	}
}

// literal parses text as an arrow function with one expression for its body.
func literal(text string) (*ast.Program, ast.Expression, error) {
	program, err := parser.ParseFile(nil, "workspace", text, 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, nil, fmt.Errorf("jsvm: parse source in a workspace row: %w", err)
	}
	if len(program.Body) == 1 {
		if st, ok := program.Body[0].(*ast.ExpressionStatement); ok {
			if arrow, ok := st.Expression.(*ast.ArrowFunctionLiteral); ok {
				if body, ok := arrow.Body.(*ast.ExpressionBody); ok {
					arrow.ParameterList.List[0].Target = &ast.Identifier{Name: hiddenSuper, Idx: arrow.Start}
					arrow.ParameterList.List = append(arrow.ParameterList.List, &ast.Binding{Target: &ast.Identifier{Name: hiddenSymbol, Idx: arrow.Start}})
					return program, body.Expression, nil
				}
			}
		}
	}
	return nil, nil, errors.New("jsvm: source in a workspace row is not one literal")
}

// run compiles the maker and calls it. The functions in it are known from then on.
func (r *restorer) run(program *ast.Program, source string, hoisted bool, args ...goja.Value) (*goja.Object, error) {
	arrow := program.Body[0].(*ast.ExpressionStatement).Expression.(*ast.ArrowFunctionLiteral)
	res := newResolver(program.File)
	res.scope = &scope{names: map[unistring.String]bool{}, top: true}
	res.expr(arrow.Body.(*ast.ExpressionBody).Expression)
	for _, c := range res.callables {
		if c.source == source {
			c.hoisted = hoisted
		}
	}
	r.s.register(res.callables)
	r.s.literals(res.literals)
	compiled, err := goja.CompileAST(program, true)
	if err != nil {
		return nil, fmt.Errorf("jsvm: compile source in a workspace row: %w", err)
	}
	v, err := r.s.vm.RunProgram(compiled)
	if err != nil {
		return nil, fmt.Errorf("jsvm: load source in a workspace row: %w", err)
	}
	maker, _ := goja.AssertFunction(v)
	if len(args) == 0 {
		args = []goja.Value{goja.Undefined()}
	}
	if v, err = maker(goja.Undefined(), append(args, r.builtin("Symbol"))...); err != nil {
		return nil, fmt.Errorf("jsvm: make a function or class of a workspace row: %w", err)
	}
	return v.ToObject(r.s.vm), nil
}

// rename restores a name that came from the variable and not from the source.
func (r *restorer) rename(o, made *goja.Object) error {
	name := r.get(o, "$name")
	if name == nil {
		return nil
	}
	if old := r.js.data(made, "name"); old != nil && old.SameAs(name) {
		return nil
	}
	return made.DefineDataProperty("name", name, goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}
