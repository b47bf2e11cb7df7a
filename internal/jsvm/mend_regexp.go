package jsvm

import (
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
)

// mendRegExp sends /\p{…}/u down goja's backtracking path: its linear path accepts the class and silently
// never matches. The prelude hides the suffix from source and toString.
func mendRegExp(e *ast.RegExpLiteral) {
	if strings.Contains(e.Flags, "u") && hasProperty(e.Pattern) && !strings.HasSuffix(e.Pattern, regExpSuffix) {
		e.Pattern = knownProperties.Replace(e.Pattern) + regExpSuffix
	}
}

func hasProperty(pattern string) bool {
	return strings.Contains(pattern, `\p`) || strings.Contains(pattern, `\P`)
}

// knownProperties writes properties that goja's engine does not know as those that it does. The source of
// such an expression shows the latter.
var knownProperties = strings.NewReplacer(
	`p{Script=`, `p{`, `P{Script=`, `P{`, `p{sc=`, `p{`, `P{sc=`, `P{`,
	`p{Script_Extensions=`, `p{`, `P{Script_Extensions=`, `P{`, `p{scx=`, `p{`, `P{scx=`, `P{`,
	`p{General_Category=`, `p{`, `P{General_Category=`, `P{`, `p{gc=`, `p{`, `P{gc=`, `P{`,
	`\p{Alphabetic}`, `\p{L}`, `\P{Alphabetic}`, `\P{L}`, `\p{Alpha}`, `\p{L}`, `\P{Alpha}`, `\P{L}`,
	`\p{Uppercase}`, `\p{Lu}`, `\P{Uppercase}`, `\P{Lu}`, `\p{Upper}`, `\p{Lu}`, `\P{Upper}`, `\P{Lu}`,
	`\p{Lowercase}`, `\p{Ll}`, `\P{Lowercase}`, `\P{Ll}`, `\p{Lower}`, `\p{Ll}`, `\P{Lower}`, `\P{Ll}`,
	`\p{White_Space}`, `\s`, `\P{White_Space}`, `\S`,
)

// properties does the same for the prelude.
func (s *session) properties(call goja.FunctionCall) goja.Value {
	return s.vm.ToValue(knownProperties.Replace(call.Argument(0).String()))
}

// mendReplace: on its backtracking path and for text beyond ASCII, goja replaces every match of /x/u, which
// has no g flag. A stand-in whose exec is that of the expression takes the general path, which does not.
func (s *session) mendReplace(prototype *goja.Object) {
	replace, ok := prototype.GetSymbol(goja.SymReplace).(*goja.Object)
	exec, ok2 := goja.AssertFunction(prototype.Get("exec"))
	if !ok || !ok2 {
		return
	}
	s.regexpPrototype = prototype
	s.layout.around(replace, func(call goja.FunctionCall) goja.FunctionCall {
		rx, ok := call.This.(*goja.Object)
		if !ok || s.layout.kindOf(rx) != "regexpObject" {
			return call
		}
		flags := s.layout.flags(rx)
		text, isString := call.Argument(0).(goja.String)
		if !strings.Contains(flags, "u") || strings.Contains(flags, "g") || !isString || s.ownExec(rx) {
			return call
		}
		if text.Length() == len(text.String()) { // ASCII
			return call
		}
		in := s.vm.NewObject()
		_ = in.Set("flags", flags)
		_ = in.Set("exec", func(c goja.FunctionCall) goja.Value {
			v, err := exec(rx, c.Argument(0))
			if err != nil {
				panic(err)
			}
			return v
		})
		return goja.FunctionCall{This: in, Arguments: call.Arguments}
	})
}

// ownExec tells expressions, as of a subclass, whose exec goja calls anyhow.
func (s *session) ownExec(rx *goja.Object) bool {
	return rx.Prototype() != s.regexpPrototype || s.layout.values(rx)["exec"] != nil
}
