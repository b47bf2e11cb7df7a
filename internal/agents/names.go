package agents

import (
	"fmt"
	"regexp"
	"slices"
)

var jsName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]{0,99}$`)

// CheckName reports why code could not call a tool or temporal by the name; nil when it could.
func CheckName(name string) error {
	if err := checkIdentifier(name); err != nil {
		return err
	}
	if slices.Contains(builtinNames(), name) {
		return fmt.Errorf("name %q is taken by a built-in function or value", name)
	}
	return nil
}

// checkIdentifier reports why name could not stand as a name in a cell or a declaration.
func checkIdentifier(name string) error {
	if !jsName.MatchString(name) {
		return fmt.Errorf("name %q must be a JavaScript name: letters, digits, '_' and '$', no digit first", name)
	}
	if slices.Contains(reservedWords(), name) {
		return fmt.Errorf("name %q is a reserved word of JavaScript", name)
	}
	return nil
}

// builtinNames are what code in a cell finds without any tool.
func builtinNames() []string {
	return []string{
		"print", "console", "exit", "panic", "docs", "tools", "agents", "sleep", "until", "event", "message",
		"approval", "job", "first", "all", "delegate", "send", "objects", "llm",
		"globalThis", "undefined", "NaN", "Infinity", "Object", "Array", "Function", "String", "Number",
		"Boolean", "Symbol", "BigInt", "Math", "JSON", "Date", "RegExp", "Map", "Set", "WeakMap", "WeakSet",
		"Promise", "Proxy", "Reflect", "Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError",
		"EvalError", "URIError", "AggregateError", "ArrayBuffer", "DataView", "Intl", "URL", "TextEncoder",
		"TextDecoder", "parseInt", "parseFloat", "isNaN", "isFinite", "encodeURIComponent",
		"decodeURIComponent", "encodeURI", "decodeURI", "escape", "unescape", "structuredClone", "atob", "btoa",
		"TimeoutError", "LimitError", "ConflictError", "ToolError", "UnknownOutcomeError", "ResultTooLarge",
	}
}

// reservedWords cannot be bound in strict mode or inside async code.
func reservedWords() []string {
	return []string{
		"arguments", "async", "await", "break", "case", "catch", "class", "const", "continue", "debugger",
		"default", "delete", "do", "else", "enum", "eval", "export", "extends", "false", "finally", "for",
		"function", "if", "implements", "import", "in", "instanceof", "interface", "let", "new", "null",
		"package", "private", "protected", "public", "return", "static", "super", "switch", "this", "throw",
		"true", "try", "typeof", "var", "void", "while", "with", "yield",
	}
}
