package jsvm

import (
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

func (r *resolver) statements(list []ast.Statement) {
	for _, st := range list {
		if fn, ok := st.(*ast.FunctionDeclaration); ok {
			r.declarations[fn.Function] = true
		}
	}
	for _, st := range list {
		r.statement(st)
	}
}

func (r *resolver) block(list []ast.Statement) {
	defer r.open(r.scope.owner)()
	r.declareList(list)
	r.statements(list)
}

func (r *resolver) statement(st ast.Statement) {
	switch st := st.(type) {
	case *ast.BlockStatement:
		if st != nil {
			r.block(st.List)
		}
	case *ast.ExpressionStatement:
		r.expr(st.Expression)
	case *ast.VariableStatement:
		r.bindings(st.List)
	case *ast.LexicalDeclaration:
		r.bindings(st.List)
	case *ast.FunctionDeclaration:
		r.declarations[st.Function] = true
		r.function(st.Function, kindFunction)
	case *ast.ClassDeclaration:
		r.class(st.Class)
		r.bind(st.Class.Name)
	case *ast.ReturnStatement:
		r.expr(st.Argument)
	case *ast.ThrowStatement:
		r.expr(st.Argument)
	case *ast.IfStatement:
		r.expr(st.Test)
		r.statement(st.Consequent)
		r.statement(st.Alternate)
	case *ast.LabelledStatement:
		r.statement(st.Statement)
	case *ast.WithStatement:
		r.expr(st.Object)
		r.statement(st.Body)
	case *ast.TryStatement:
		r.try(st)
	case *ast.SwitchStatement:
		r.switchCases(st)
	default:
		r.loop(st)
	}
}

func (r *resolver) loop(st ast.Statement) {
	switch st := st.(type) {
	case *ast.WhileStatement:
		r.expr(st.Test)
		r.statement(st.Body)
	case *ast.DoWhileStatement:
		r.statement(st.Body)
		r.expr(st.Test)
	case *ast.ForStatement:
		defer r.open(r.scope.owner)()
		switch init := st.Initializer.(type) {
		case *ast.ForLoopInitializerExpression:
			r.expr(init.Expression)
		case *ast.ForLoopInitializerVarDeclList:
			r.bindings(init.List)
		case *ast.ForLoopInitializerLexicalDecl:
			for _, b := range init.LexicalDeclaration.List {
				eachTarget(b.Target, r.declare)
			}
			r.bindings(init.LexicalDeclaration.List)
		}
		r.expr(st.Test)
		r.expr(st.Update)
		r.statement(st.Body)
	case *ast.ForInStatement:
		r.forEach(st.Into, st.Source, st.Body)
	case *ast.ForOfStatement:
		r.forEach(st.Into, st.Source, st.Body)
	}
}

func (r *resolver) forEach(into ast.ForInto, source ast.Expression, body ast.Statement) {
	r.expr(source)
	defer r.open(r.scope.owner)()
	switch into := into.(type) {
	case *ast.ForIntoVar:
		r.pattern(into.Binding.Target)
		r.expr(into.Binding.Initializer)
		r.bind(into.Binding.Target)
	case *ast.ForDeclaration:
		eachTarget(into.Target, r.declare)
		r.pattern(into.Target)
	case *ast.ForIntoExpression:
		r.target(into.Expression)
	}
	r.statement(body)
}

func (r *resolver) try(st *ast.TryStatement) {
	r.statement(st.Body)
	if st.Catch != nil {
		done := r.open(r.scope.owner)
		if st.Catch.Parameter != nil {
			eachTarget(st.Catch.Parameter, r.declare)
			r.pattern(st.Catch.Parameter)
		}
		r.statement(st.Catch.Body)
		done()
	}
	if st.Finally != nil {
		r.statement(st.Finally)
	}
}

func (r *resolver) switchCases(st *ast.SwitchStatement) {
	r.expr(st.Discriminant)
	defer r.open(r.scope.owner)()
	for _, c := range st.Body {
		r.declareList(c.Consequent)
	}
	for _, c := range st.Body {
		r.expr(c.Test)
		r.statements(c.Consequent)
	}
}

// bindings resolves declarations; a name counts as bound once its initializer has been evaluated.
func (r *resolver) bindings(list []*ast.Binding) {
	for _, b := range list {
		r.expr(b.Initializer)
		b.Initializer = mendTaken(b.Target, b.Initializer)
		r.pattern(b.Target)
		r.bind(b.Target)
	}
}

// pattern resolves the defaults and computed keys inside a binding pattern, and its names as written.
func (r *resolver) pattern(target ast.Expression) {
	switch t := target.(type) {
	case nil:
	case *ast.Identifier:
		r.use(t.Name, false)
	case *ast.AssignExpression:
		r.pattern(t.Left)
		r.expr(t.Right)
	case *ast.Binding:
		r.pattern(t.Target)
		r.expr(t.Initializer)
	case *ast.ArrayPattern:
		for _, e := range t.Elements {
			r.pattern(e)
		}
		r.pattern(t.Rest)
	case *ast.ObjectPattern:
		for _, p := range t.Properties {
			switch p := p.(type) {
			case *ast.PropertyShort:
				r.use(p.Name.Name, false)
				r.expr(p.Initializer)
			case *ast.PropertyKeyed:
				if p.Computed {
					r.expr(p.Key)
				}
				r.pattern(p.Value)
			}
		}
		r.pattern(t.Rest)
	case *ast.SpreadElement:
		r.pattern(t.Expression)
	default:
		r.expr(t)
	}
}

// target resolves the left side of an assignment.
func (r *resolver) target(e ast.Expression) {
	switch e.(type) {
	case *ast.Identifier, *ast.ArrayPattern, *ast.ObjectPattern:
		r.pattern(e)
	default:
		r.expr(e)
	}
}

func (r *resolver) exprs(list []ast.Expression) {
	for _, e := range list {
		r.expr(e)
	}
}

func (r *resolver) expr(e ast.Expression) {
	switch e := e.(type) {
	case nil:
	case *ast.Identifier:
		if e != nil {
			r.name(e)
		}
	case *ast.ThisExpression:
		r.useThis("this", false)
	case *ast.SuperExpression:
		r.useThis("super", true)
	case *ast.MetaProperty:
		r.useThis("new.target", false)
	case *ast.FunctionLiteral:
		r.function(e, kindFunction)
	case *ast.ArrowFunctionLiteral:
		r.arrow(e)
	case *ast.ClassLiteral:
		r.class(e)
	case *ast.RegExpLiteral:
		r.literals.regexp = true
		mendRegExp(e)
	case *ast.AssignExpression:
		if e.Operator == token.ASSIGN {
			r.target(e.Left)
		} else {
			r.expr(e.Left)
		}
		r.expr(e.Right)
		e.Right = mendTaken(e.Left, boundExponent(e.Operator, e.Right))
	case *ast.UnaryExpression:
		if id, ok := e.Operand.(*ast.Identifier); ok && e.Operator == token.TYPEOF {
			r.use(id.Name, false)
			return
		}
		r.expr(e.Operand)
	case *ast.BinaryExpression:
		r.binary(e)
	case *ast.ConditionalExpression:
		r.expr(e.Test)
		r.expr(e.Consequent)
		r.expr(e.Alternate)
	case *ast.SequenceExpression:
		r.exprs(e.Sequence)
	case *ast.ArrayLiteral:
		r.exprs(e.Value)
	case *ast.ObjectLiteral:
		r.object(e)
	default:
		r.access(e)
	}
}

// maxSpine is how many operators may follow each other without a cut.
const maxSpine = 64

// binary resolves an operator and those to its left, and cuts long chains into parts: for each operator
// goja looks through all to the left of it, but not into such a part.
func (r *resolver) binary(e *ast.BinaryExpression) (spine int) {
	spine = 1
	r.leftFirst(e)
	if left, ok := e.Left.(*ast.BinaryExpression); ok {
		if spine += r.binary(left); spine > maxSpine {
			e.Left, spine = cut(left), 1
		}
	} else {
		r.expr(e.Left)
	}
	r.expr(e.Right)
	e.Right = boundExponent(e.Operator, e.Right)
	return spine
}

// leftFirst mends a < b < c, which goja reads as a < (b < c). Its tree has no parentheses, the text has.
func (r *resolver) leftFirst(e *ast.BinaryExpression) {
	for relational(e.Operator) {
		right, ok := e.Right.(*ast.BinaryExpression)
		if !ok || !relational(right.Operator) || r.parenthesised(right) {
			return
		}
		e.Left = &ast.BinaryExpression{Operator: e.Operator, Left: e.Left, Right: right.Left, Comparison: e.Comparison}
		e.Operator, e.Right, e.Comparison = right.Operator, right.Right, right.Comparison
	}
}

func relational(op token.Token) bool {
	switch op {
	case token.LESS, token.LESS_OR_EQUAL, token.GREATER, token.GREATER_OR_EQUAL, token.INSTANCEOF, token.IN:
		return true
	}
	return false
}

func (r *resolver) parenthesised(e ast.Expression) bool {
	at, text := int(e.Idx0())-r.file.Base(), r.file.Source()
	return at <= 0 || at > len(text) || strings.HasSuffix(strings.TrimRight(text[:at], " \t\r\n"), "(")
}

// cut makes (0, e) of e.
func cut(e ast.Expression) ast.Expression {
	return &ast.SequenceExpression{Sequence: []ast.Expression{&ast.NumberLiteral{Idx: e.Idx0(), Literal: "0", Value: int64(0)}, e}}
}

func (r *resolver) name(id *ast.Identifier) {
	if id.Name == "arguments" {
		r.useThis("arguments", false)
		return
	}
	r.use(id.Name, true)
}

// access resolves expressions that reach into, call or unwrap another one.
func (r *resolver) access(e ast.Expression) {
	switch e := e.(type) {
	case *ast.CallExpression:
		if id, ok := e.Callee.(*ast.Identifier); ok && id.Name != "arguments" {
			r.refer(id.Name, true)
		} else {
			r.expr(e.Callee)
		}
		r.exprs(e.ArgumentList)
	case *ast.NewExpression:
		r.expr(e.Callee)
		r.exprs(e.ArgumentList)
		boundSize(e)
	case *ast.DotExpression:
		r.expr(e.Left)
		mendStack(e.Identifier.Name, &e.Left)
	case *ast.PrivateDotExpression:
		r.expr(e.Left)
	case *ast.BracketExpression:
		r.expr(e.Left)
		r.expr(e.Member)
		if key, ok := e.Member.(*ast.StringLiteral); ok {
			mendStack(key.Value, &e.Left)
		}
	case *ast.OptionalChain:
		r.expr(e.Expression)
	case *ast.Optional:
		r.expr(e.Expression)
	case *ast.SpreadElement:
		r.expr(e.Expression)
	case *ast.AwaitExpression:
		r.expr(e.Argument)
	case *ast.YieldExpression:
		r.expr(e.Argument)
	case *ast.TemplateLiteral:
		r.expr(e.Tag)
		r.exprs(e.Expressions)
	case *ast.ArrayPattern, *ast.ObjectPattern:
		r.pattern(e)
	case *ast.Binding:
		r.pattern(e)
	}
}

func (r *resolver) object(o *ast.ObjectLiteral) {
	for _, p := range o.Value {
		switch p := p.(type) {
		case *ast.PropertyShort:
			r.use(p.Name.Name, true)
			r.expr(p.Initializer)
		case *ast.SpreadElement:
			r.expr(p.Expression)
		case *ast.PropertyKeyed:
			if p.Computed {
				r.expr(p.Key)
			}
			if fn, ok := p.Value.(*ast.FunctionLiteral); ok && p.Kind != ast.PropertyKindValue {
				r.function(fn, kindMethod)
				continue
			}
			r.expr(p.Value)
		}
	}
}
