package jsvm

import (
	"fmt"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// Names that no user can spell: they are parameters of the cell's arrow.
const (
	hiddenLet   = "%let"   // hiddenLet.x = v declares the variable x
	hiddenConst = "%const" // the same, read-only
	hiddenClass = "%class" // notes a class and returns it
)

// compiled is a cell that is ready to run, with what is known about the functions in it.
type compiled struct {
	program     *goja.Program
	transformed string
	callables   []*callable
	analysis    Analysis
	vars        []string // names to hoist as undefined
	literals    literals
}

// compileCell turns a cell into a program whose value is a function of the three hidden names.
//
// Top-level declarations become properties of the global object, because a function that is restored from
// its source finds its free names there: so live and restored code behave alike. The AST is rewritten and
// not the text, since goja's positions do not delimit text (parentheses are dropped), and so positions in
// messages and Function.prototype.toString stay those of the model's text.
func compileCell(source, recorded string, limits Limits, protected func(string) bool) (*compiled, error) {
	p, err := parseCell(source, recorded, limits)
	if err != nil {
		return nil, err
	}
	w := &rewriter{file: p.program.File, protected: protected, catches: []map[unistring.String]bool{p.temps}}
	locals := p.splitTemps()
	w.liftHelpers(p)
	r := newResolver(p.program.File)
	r.cell(p.body.List, p.arrow.DeclarationList, p.temps)
	out := &compiled{transformed: p.transformed, callables: r.callables, literals: r.literals, analysis: Analysis{Free: r.free, Called: r.called(), Declared: r.declared}}
	for _, decl := range p.arrow.DeclarationList {
		for _, b := range decl.List {
			eachTarget(b.Target, func(name unistring.String) { w.protect(name.String(), b.Target.Idx0()) })
			eachTarget(b.Target, func(name unistring.String) { out.vars = append(out.vars, name.String()) })
		}
	}
	w.cell(p)
	if w.err != nil {
		return nil, w.err
	}
	p.arrow.DeclarationList = locals
	p.arrow.ParameterList = &ast.ParameterList{Opening: p.arrow.Start, Closing: p.arrow.Start}
	for _, name := range []unistring.String{hiddenLet, hiddenConst, hiddenClass} {
		p.arrow.ParameterList.List = append(p.arrow.ParameterList.List, &ast.Binding{Target: &ast.Identifier{Name: name, Idx: p.arrow.Start}})
	}
	program, err := compileProgram(p.program)
	if err != nil {
		return nil, err
	}
	out.program = program
	return out, nil
}

// splitTemps takes esbuild's own variables out of those of the cell.
func (p *parsed) splitTemps() []*ast.VariableDeclaration {
	if len(p.temps) == 0 {
		return nil
	}
	var mine, locals []*ast.VariableDeclaration
	for _, decl := range p.arrow.DeclarationList {
		var rest []*ast.Binding
		for _, b := range decl.List {
			if id, ok := b.Target.(*ast.Identifier); ok && p.temps[id.Name] {
				locals = append(locals, &ast.VariableDeclaration{Var: decl.Var, List: []*ast.Binding{b}})
			} else {
				rest = append(rest, b)
			}
		}
		if len(rest) > 0 {
			mine = append(mine, &ast.VariableDeclaration{Var: decl.Var, List: rest})
		}
	}
	p.arrow.DeclarationList = mine
	return locals
}

type rewriter struct {
	file      *file.File
	protected func(string) bool
	catches   []map[unistring.String]bool
	err       error
}

// liftHelpers moves esbuild's runtime into the cell, where it becomes variables like any others: kept
// functions find it again.
func (w *rewriter) liftHelpers(p *parsed) {
	if len(p.helpers) == 0 {
		return
	}
	list := make([]ast.Statement, 0, len(p.helpers)+len(p.body.List))
	for _, st := range p.helpers {
		v := st.(*ast.VariableStatement)
		p.arrow.DeclarationList = append(p.arrow.DeclarationList, &ast.VariableDeclaration{Var: v.Var, List: v.List})
	}
	p.body.List = append(append(list, p.helpers...), p.body.List...)
	p.program.Body = p.program.Body[len(p.helpers):]
	p.program.DeclarationList = nil
}

func (w *rewriter) protect(name string, at file.Idx) {
	if w.err == nil && w.protected(name) {
		line, column := place(w.file.Position(int(at) - 1))
		w.err = &SyntaxError{Message: fmt.Sprintf("'%s' is a built-in tool; choose another name", name), Line: line, Column: column}
	}
}

// cell rewrites the top level: functions first, as hoisting demands, then the statements in order.
func (w *rewriter) cell(p *parsed) {
	var hoisted, list []ast.Statement
	for _, st := range p.body.List {
		switch st := st.(type) {
		case *ast.FunctionDeclaration:
			id := st.Function.Name
			w.protect(id.Name.String(), id.Idx)
			st.Function.Name = nil
			hoisted = append(hoisted, w.statement(w.declare(hiddenLet, id, st.Function)))
		case *ast.ClassDeclaration:
			w.protect(st.Class.Name.Name.String(), st.Class.Name.Idx)
			list = append(list, w.statement(w.declare(hiddenLet, st.Class.Name, st.Class)))
		case *ast.LexicalDeclaration:
			for _, e := range w.lexical(st) {
				list = append(list, w.statement(e))
			}
			list = append(list, &ast.EmptyStatement{Semicolon: st.Idx})
		case *ast.ExpressionStatement:
			w.classAssignment(st)
			list = append(list, st)
		default:
			list = append(list, w.nested(st))
		}
	}
	list = returnLast(list, p.body.List)
	p.body.List = append(hoisted, list...)
}

// returnLast makes the last expression the value of the cell. Function declarations and empty statements
// after it do not count, since they do nothing there.
func returnLast(list, original []ast.Statement) []ast.Statement {
	for i := len(original) - 1; i >= 0; i-- {
		switch original[i].(type) {
		case *ast.FunctionDeclaration, *ast.EmptyStatement:
			continue
		case *ast.ExpressionStatement:
		default:
			return list
		}
		break
	}
	for i := len(list) - 1; i >= 0; i-- {
		switch st := list[i].(type) {
		case *ast.EmptyStatement:
			continue
		case *ast.ExpressionStatement:
			list[i] = &ast.ReturnStatement{Return: st.Expression.Idx0(), Argument: st.Expression}
		}
		break
	}
	return list
}

func (w *rewriter) statement(e ast.Expression) ast.Statement {
	return &ast.ExpressionStatement{Expression: e}
}

func (w *rewriter) lexical(st *ast.LexicalDeclaration) []ast.Expression {
	hidden := unistring.String(hiddenLet)
	if st.Token == token.CONST {
		hidden = hiddenConst
	}
	list := make([]ast.Expression, 0, len(st.List))
	for _, b := range st.List {
		eachTarget(b.Target, func(name unistring.String) { w.protect(name.String(), b.Target.Idx0()) })
		list = append(list, w.bind(hidden, b))
	}
	return list
}

// bind turns one binding into an assignment to hidden members.
func (w *rewriter) bind(hidden unistring.String, b *ast.Binding) ast.Expression {
	if id, ok := b.Target.(*ast.Identifier); ok {
		init := b.Initializer
		if init == nil {
			init = &ast.UnaryExpression{Operator: token.VOID, Idx: id.Idx, Operand: &ast.NumberLiteral{Idx: id.Idx, Literal: "0", Value: int64(0)}}
		}
		return w.declare(hidden, id, init)
	}
	return &ast.AssignExpression{Operator: token.ASSIGN, Left: w.pattern(hidden, b.Target), Right: b.Initializer}
}

// declare builds hidden.name = value.
func (w *rewriter) declare(hidden unistring.String, id *ast.Identifier, value ast.Expression) ast.Expression {
	if w.caught(id.Name) {
		return &ast.AssignExpression{Operator: token.ASSIGN, Left: id, Right: value}
	}
	value = named(id, value)
	if isClass(value) {
		value = &ast.CallExpression{
			Callee:           &ast.Identifier{Name: hiddenClass, Idx: id.Idx},
			ArgumentList:     []ast.Expression{value},
			LeftParenthesis:  id.Idx,
			RightParenthesis: id.Idx,
		}
	}
	return &ast.AssignExpression{Operator: token.ASSIGN, Left: member(hidden, id), Right: value}
}

func (w *rewriter) caught(name unistring.String) bool {
	for _, c := range w.catches {
		if c[name] {
			return true
		}
	}
	return false
}

func member(object unistring.String, id *ast.Identifier) *ast.DotExpression {
	return &ast.DotExpression{Left: &ast.Identifier{Name: object, Idx: id.Idx}, Identifier: ast.Identifier{Name: id.Name, Idx: id.Idx}}
}

// named gives an anonymous function or class the name of its variable, as a declaration would:
// f becomes ({name: f}).name.
func named(id *ast.Identifier, value ast.Expression) ast.Expression {
	switch v := value.(type) {
	case *ast.FunctionLiteral:
		if v.Name != nil {
			return value
		}
	case *ast.ClassLiteral:
		if v.Name != nil {
			return value
		}
	case *ast.ArrowFunctionLiteral:
	default:
		return value
	}
	key := &ast.StringLiteral{Idx: id.Idx, Literal: "", Value: id.Name}
	return &ast.DotExpression{
		Left: &ast.ObjectLiteral{LeftBrace: id.Idx, RightBrace: id.Idx, Value: []ast.Property{
			// Computed, so that the name __proto__ stays a name.
			&ast.PropertyKeyed{Key: key, Kind: ast.PropertyKindValue, Value: value, Computed: id.Name == "__proto__"},
		}},
		Identifier: ast.Identifier{Name: id.Name, Idx: id.Idx},
	}
}

// isClass sees classes through the wrapping of named.
func isClass(e ast.Expression) bool {
	switch e := e.(type) {
	case *ast.ClassLiteral:
		return true
	case *ast.DotExpression:
		if o, ok := e.Left.(*ast.ObjectLiteral); ok && len(o.Value) == 1 {
			if p, ok := o.Value[0].(*ast.PropertyKeyed); ok && p.Kind == ast.PropertyKindValue {
				_, ok := p.Value.(*ast.ClassLiteral)
				return ok
			}
		}
	}
	return false
}

// classAssignment notes a class that is assigned to a variable: A = class {…}.
func (w *rewriter) classAssignment(st *ast.ExpressionStatement) {
	assign, ok := st.Expression.(*ast.AssignExpression)
	if !ok || assign.Operator != token.ASSIGN {
		return
	}
	id, ok := assign.Left.(*ast.Identifier)
	class, isClassLiteral := assign.Right.(*ast.ClassLiteral)
	if !ok || !isClassLiteral {
		return
	}
	assign.Right = &ast.CallExpression{
		Callee:           &ast.Identifier{Name: hiddenClass, Idx: class.Class},
		ArgumentList:     []ast.Expression{named(id, class)},
		LeftParenthesis:  class.Class,
		RightParenthesis: class.RightBrace,
	}
}
