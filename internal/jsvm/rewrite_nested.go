package jsvm

import (
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// nested rewrites the var declarations inside a statement of the top level: they are top-level variables
// wherever they stand outside of functions.
func (w *rewriter) nested(st ast.Statement) ast.Statement {
	switch st := st.(type) {
	case *ast.VariableStatement:
		if e := w.assignments(st.List); e != nil {
			return &ast.ExpressionStatement{Expression: e}
		}
		return &ast.EmptyStatement{Semicolon: st.Var}
	case *ast.BlockStatement:
		w.list(st)
	case *ast.IfStatement:
		st.Consequent = w.nested(st.Consequent)
		if st.Alternate != nil {
			st.Alternate = w.nested(st.Alternate)
		}
	case *ast.LabelledStatement:
		st.Statement = w.nested(st.Statement)
	case *ast.TryStatement:
		w.try(st)
	case *ast.SwitchStatement:
		for _, c := range st.Body {
			for i := range c.Consequent {
				c.Consequent[i] = w.nested(c.Consequent[i])
			}
		}
	case *ast.WhileStatement:
		st.Body = w.nested(st.Body)
	case *ast.DoWhileStatement:
		st.Body = w.nested(st.Body)
	case *ast.ForStatement:
		if init, ok := st.Initializer.(*ast.ForLoopInitializerVarDeclList); ok {
			st.Initializer = nil
			if e := w.assignments(init.List); e != nil {
				st.Initializer = &ast.ForLoopInitializerExpression{Expression: e}
			}
		}
		st.Body = w.nested(st.Body)
	case *ast.ForInStatement:
		st.Into = w.into(st.Into)
		st.Body = w.nested(st.Body)
	case *ast.ForOfStatement:
		st.Into = w.into(st.Into)
		st.Body = w.nested(st.Body)
	}
	return st
}

func (w *rewriter) list(block *ast.BlockStatement) {
	if block == nil {
		return
	}
	for i := range block.List {
		block.List[i] = w.nested(block.List[i])
	}
}

func (w *rewriter) try(st *ast.TryStatement) {
	w.list(st.Body)
	if st.Catch != nil {
		names := map[unistring.String]bool{}
		// catch (e) { var e = 1 } assigns to the parameter.
		if st.Catch.Parameter != nil {
			eachTarget(st.Catch.Parameter, func(name unistring.String) { names[name] = true })
		}
		w.catches = append(w.catches, names)
		w.list(st.Catch.Body)
		w.catches = w.catches[:len(w.catches)-1]
	}
	w.list(st.Finally)
}

// assignments is what is left of a var statement once its names are hoisted; nil when nothing is.
func (w *rewriter) assignments(list []*ast.Binding) ast.Expression {
	var out []ast.Expression
	for _, b := range list {
		if b.Initializer != nil {
			out = append(out, w.bind(hiddenLet, b))
		}
	}
	switch len(out) {
	case 0:
		return nil
	case 1:
		return out[0]
	}
	return &ast.SequenceExpression{Sequence: out}
}

func (w *rewriter) into(into ast.ForInto) ast.ForInto {
	v, ok := into.(*ast.ForIntoVar)
	if !ok {
		return into
	}
	return &ast.ForIntoExpression{Expression: w.pattern(hiddenLet, v.Binding.Target)}
}

// pattern turns a binding pattern into an assignment pattern over hidden members.
func (w *rewriter) pattern(hidden unistring.String, target ast.Expression) ast.Expression {
	switch t := target.(type) {
	case *ast.Identifier:
		if w.caught(t.Name) {
			return t
		}
		return member(hidden, t)
	case *ast.AssignExpression:
		if id, ok := t.Left.(*ast.Identifier); ok {
			t.Right = named(id, t.Right)
		}
		t.Left = w.pattern(hidden, t.Left)
	case *ast.Binding:
		left := w.pattern(hidden, t.Target)
		if t.Initializer == nil {
			return left
		}
		init := t.Initializer
		if id, ok := t.Target.(*ast.Identifier); ok {
			init = named(id, init)
		}
		return &ast.AssignExpression{Operator: token.ASSIGN, Left: left, Right: init}
	case *ast.ArrayPattern:
		for i, e := range t.Elements {
			if e != nil {
				t.Elements[i] = w.pattern(hidden, e)
			}
		}
		if t.Rest != nil {
			t.Rest = w.pattern(hidden, t.Rest)
		}
	case *ast.ObjectPattern:
		for i, p := range t.Properties {
			t.Properties[i] = w.property(hidden, p)
		}
		if t.Rest != nil {
			t.Rest = w.pattern(hidden, t.Rest)
		}
	}
	return target
}

// property spells a shorthand out, {a = 1} as {a: hidden.a = 1}.
func (w *rewriter) property(hidden unistring.String, p ast.Property) ast.Property {
	switch p := p.(type) {
	case *ast.PropertyShort:
		id := p.Name
		value := w.pattern(hidden, &id)
		if p.Initializer != nil {
			value = &ast.AssignExpression{Operator: token.ASSIGN, Left: value, Right: named(&id, p.Initializer)}
		}
		return &ast.PropertyKeyed{
			Key:   &ast.StringLiteral{Idx: id.Idx, Literal: "", Value: id.Name},
			Kind:  ast.PropertyKindValue,
			Value: value,
		}
	case *ast.PropertyKeyed:
		p.Value = w.pattern(hidden, p.Value)
	}
	return p
}
