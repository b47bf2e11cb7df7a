package jsvm

import (
	"math/big"
	"strconv"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// mendStack turns x.stack into clean(x).stack: goja's stacks carry byte-code offsets, which differ between
// versions of the engine. The helper returns its argument, so that it fits in targets and callees too. A
// chain that may end before it is left alone, since the helper would be called with half of it.
func mendStack(name unistring.String, left *ast.Expression) {
	if name != "stack" {
		return
	}
	if o, ok := (*left).(*ast.Optional); ok {
		left = &o.Expression
	}
	if _, ok := (*left).(*ast.SuperExpression); ok || mayEnd(*left) || isThrough(hiddenClean, *left) {
		return
	}
	*left = through(hiddenClean, *left)
}

// mayEnd tells whether an optional chain may end inside of an expression.
func mayEnd(e ast.Expression) bool {
	switch e := e.(type) {
	case *ast.Optional:
		return true
	case *ast.DotExpression:
		return mayEnd(e.Left)
	case *ast.PrivateDotExpression:
		return mayEnd(e.Left)
	case *ast.BracketExpression:
		return mayEnd(e.Left)
	case *ast.CallExpression:
		return mayEnd(e.Callee)
	case *ast.TemplateLiteral:
		return e.Tag != nil && mayEnd(e.Tag)
	}
	return false
}

// mendTaken does the same for {stack} = x.
func mendTaken(target ast.Expression, from ast.Expression) ast.Expression {
	pattern, ok := target.(*ast.ObjectPattern)
	if !ok || from == nil || isThrough(hiddenClean, from) {
		return from
	}
	for _, p := range pattern.Properties {
		switch p := p.(type) {
		case *ast.PropertyShort:
			if p.Name.Name == "stack" {
				return through(hiddenClean, from)
			}
		case *ast.PropertyKeyed:
			if key, ok := p.Key.(*ast.StringLiteral); ok && key.Value == "stack" {
				return through(hiddenClean, from)
			}
		}
	}
	return from
}

// Globals that cannot be spelled; functions that are restored from source need them too.
const (
	hiddenClean    = "%clean"
	hiddenSize     = "%size"
	hiddenExponent = "%exponent"
)

// through passes a value through a hidden function.
func through(name unistring.String, e ast.Expression, more ...ast.Expression) ast.Expression {
	at := e.Idx0()
	return &ast.CallExpression{
		Callee: &ast.Identifier{Name: name, Idx: at}, LeftParenthesis: at, ArgumentList: append([]ast.Expression{e}, more...), RightParenthesis: at,
	}
}

// boundExponent bounds BigInts in ** and <<, where one operation can ask for all memory there is. A number on
// the right cannot: mixing it with a BigInt is an error.
func boundExponent(op token.Token, right ast.Expression) ast.Expression {
	if op != token.EXPONENT && op != token.SHIFT_LEFT || isThrough(hiddenExponent, right) {
		return right
	}
	if n, ok := right.(*ast.NumberLiteral); ok {
		if _, big := n.Value.(*big.Int); !big {
			return right
		}
	}
	return through(hiddenExponent, right)
}

func isThrough(name unistring.String, e ast.Expression) bool {
	call, ok := e.(*ast.CallExpression)
	if !ok {
		return false
	}
	id, ok := call.Callee.(*ast.Identifier)
	return ok && id.Name == name
}

// boundSize bounds new ArrayBuffer(n) and the like, which goja allocates at once.
func boundSize(e *ast.NewExpression) {
	id, ok := e.Callee.(*ast.Identifier)
	if !ok || len(e.ArgumentList) == 0 {
		return
	}
	each := elementSize(id.Name.String())
	if _, spread := e.ArgumentList[0].(*ast.SpreadElement); each != 0 && !spread && !isThrough(hiddenSize, e.ArgumentList[0]) {
		e.ArgumentList[0] = through(hiddenSize, e.ArgumentList[0], &ast.NumberLiteral{Idx: id.Idx, Literal: strconv.FormatInt(each, 10), Value: each})
	}
}

func elementSize(constructor string) int64 {
	switch constructor {
	case "ArrayBuffer", "Uint8Array", "Uint8ClampedArray", "Int8Array":
		return 1
	case "Uint16Array", "Int16Array":
		return 2
	case "Uint32Array", "Int32Array", "Float32Array":
		return 4
	case "Float64Array", "BigInt64Array", "BigUint64Array":
		return 8
	}
	return 0
}

const regExpSuffix = "(?=)"
