package jsvm

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/dop251/goja"
	"github.com/dop251/goja/unistring"
)

// Any text is a property of the global object in JavaScript, so also one that neither UTF-8 nor Postgres can
// express. In rows, NUL and halves of surrogate pairs are written as \uXXXX and a backslash as \\; no
// identifier has any of them. Different names stay different.

// rowName is the name of a row for a property of the global object.
func rowName(key unistring.String) string {
	units := key.AsUtf16()
	if units == nil {
		return escapeName(string(key))
	}
	var b strings.Builder
	for _, r := range escapeSurrogates(units[1:]) { // without goja's mark
		b.WriteString(r)
	}
	return b.String()
}

func escapeName(ascii string) string {
	if !strings.ContainsAny(ascii, "\\\x00") {
		return ascii
	}
	return strings.NewReplacer(`\`, `\\`, "\x00", `\u0000`).Replace(ascii)
}

// escapeSurrogates cuts UTF-16 into characters, with those escaped that cannot stand for themselves.
func escapeSurrogates(units []uint16) []string {
	var out []string
	for i := 0; i < len(units); i++ {
		c := rune(units[i])
		switch {
		case !utf16.IsSurrogate(c):
			out = append(out, escapeName(string(c)))
		case i+1 < len(units) && utf16.DecodeRune(c, rune(units[i+1])) != '\ufffd':
			out = append(out, string(utf16.DecodeRune(c, rune(units[i+1]))))
			i++
		default:
			out = append(out, fmt.Sprintf(`\u%04x`, c))
		}
	}
	return out
}

// globalKey is the property of the global object that a row is about.
func globalKey(name string) goja.Value {
	var units []uint16
	for rest := name; rest != ""; {
		if code, ok := escaped(rest); ok {
			units, rest = append(units, code), rest[6:]
			continue
		}
		if strings.HasPrefix(rest, `\\`) {
			rest = rest[1:]
		}
		for _, r := range rest {
			units = utf16.AppendRune(units, r)
			rest = rest[len(string(r)):]
			break
		}
	}
	return goja.StringFromUTF16(units)
}

// escaped reads \uXXXX.
func escaped(text string) (uint16, bool) {
	if len(text) < 6 || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	code, err := strconv.ParseUint(text[2:6], 16, 16)
	return uint16(code), err == nil
}

// wellFormed tells whether text is valid Unicode. JSON of a text that is not has escaped halves of pairs,
// which parsers replace.
func wellFormed(text goja.String) bool {
	if !strings.Contains(text.String(), "\ufffd") { // what goja writes for a half
		return true
	}
	for i := 0; i < text.Length(); i++ {
		c := rune(text.CharAt(i))
		if !utf16.IsSurrogate(c) {
			continue
		}
		if i++; i == text.Length() || utf16.DecodeRune(c, rune(text.CharAt(i))) == '\ufffd' {
			return false
		}
	}
	return true
}

// define is Reflect.defineProperty: unlike goja's Go API it takes any text for a key.
func (js *intrinsics) define(o *goja.Object, key, value goja.Value, attrs string) bool {
	d := js.vm.NewObject()
	for name, v := range map[string]goja.Value{
		"value":        value,
		"writable":     js.vm.ToValue(strings.Contains(attrs, "w")),
		"enumerable":   js.vm.ToValue(strings.Contains(attrs, "e")),
		"configurable": js.vm.ToValue(strings.Contains(attrs, "c")),
	} {
		_ = d.DefineDataProperty(name, v, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	}
	return js.must(callDefine, o, key, d).ToBoolean()
}
