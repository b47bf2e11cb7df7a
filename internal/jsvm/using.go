package jsvm

import (
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/unistring"
)

// liftUsing undoes what lowering `using` does to a cell: esbuild puts everything after it into one try
// statement, which would hide those declarations from later cells. What the block declares becomes a
// variable of the cell again (a const of such a cell can be assigned), and its last expression the value.
func (p *parsed) liftUsing() {
	list := p.body.List
	if len(list) == 0 {
		return
	}
	try, ok := list[len(list)-1].(*ast.TryStatement)
	if !ok || !p.disposes(try) {
		return
	}
	var hoisted, rest []ast.Statement
	for _, st := range try.Body.List {
		switch st := st.(type) {
		case *ast.FunctionDeclaration:
			hoisted = append(hoisted, st)
			continue
		case *ast.ClassDeclaration:
			b := &ast.Binding{Target: &ast.Identifier{Name: st.Class.Name.Name, Idx: st.Class.Name.Idx}, Initializer: st.Class}
			rest = append(rest, p.asVar([]*ast.Binding{b}, st.Class))
			continue
		case *ast.LexicalDeclaration:
			rest = append(rest, p.asVar(st.List, st))
			continue
		}
		rest = append(rest, st)
	}
	if last, ok := lastExpression(rest); ok {
		st := rest[last].(*ast.ExpressionStatement)
		rest[last] = &ast.ReturnStatement{Return: st.Expression.Idx0(), Argument: st.Expression}
	}
	try.Body.List = rest
	p.body.List = append(hoisted, list...)
}

func lastExpression(list []ast.Statement) (int, bool) {
	if len(list) == 0 {
		return 0, false
	}
	_, ok := list[len(list)-1].(*ast.ExpressionStatement)
	return len(list) - 1, ok
}

func (p *parsed) asVar(list []*ast.Binding, at ast.Node) ast.Statement {
	p.arrow.DeclarationList = append(p.arrow.DeclarationList, &ast.VariableDeclaration{Var: at.Idx0(), List: list})
	for _, b := range list {
		if b.Initializer == nil { // let x; is undefined each time, var x; keeps what it was
			b.Initializer = &ast.Identifier{Name: "undefined", Idx: b.Target.Idx0()}
		}
	}
	return &ast.VariableStatement{Var: at.Idx0(), List: list}
}

// disposes tells esbuild's try statement by the helper that its finally block begins with.
func (p *parsed) disposes(try *ast.TryStatement) bool {
	if try.Finally == nil || len(p.helpers) == 0 {
		return false
	}
	found := false
	for _, decl := range p.arrow.DeclarationList {
		for _, b := range decl.List {
			eachTarget(b.Target, func(name unistring.String) { found = found || p.temps[name] })
		}
	}
	for _, st := range try.Finally.List {
		e, ok := st.(*ast.ExpressionStatement)
		if !ok {
			continue
		}
		call := e.Expression
		if await, ok := call.(*ast.AwaitExpression); ok {
			call = await.Argument
		}
		if c, ok := call.(*ast.CallExpression); ok {
			if id, ok := c.Callee.(*ast.Identifier); ok && id.Name == "__callDispose" {
				return found
			}
		}
	}
	// await using keeps the promise in a variable first.
	if len(try.Finally.List) > 0 {
		if v, ok := try.Finally.List[0].(*ast.VariableStatement); ok && len(v.List) == 1 {
			if c, ok := v.List[0].Initializer.(*ast.CallExpression); ok {
				id, ok := c.Callee.(*ast.Identifier)
				return ok && id.Name == "__callDispose" && found
			}
		}
	}
	return false
}
