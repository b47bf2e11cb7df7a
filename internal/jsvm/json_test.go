package jsvm

import (
	"strings"
	"testing"

	"github.com/dop251/goja"
)

// TestScalarsAreReadAndWrittenAsTheBuiltInDoes: what is read and written without JSON.parse and JSON.stringify is the same value and
// the same text.
func TestScalarsAreReadAndWrittenAsTheBuiltInDoes(t *testing.T) {
	t.Parallel()
	opened, err := NewInProcess().open(Setup{})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", longestScalar)
	short := 0
	for _, text := range []string{
		"0", "-0", "7", "-7", "07", "+7", " 7", "7 ", "2147483647", "-2147483648", "2147483648", "9007199254740993", "1e3", "1.0", "1.5", "0x10", "1_000",
		"null", "true", "false", "nul", "True", "undefined", "NaN", "Infinity", "", " ", "-",
		`""`, `"a"`, `"a b/c<d>&e'~"`, `"a\"b"`, `"a\u0041"`, `"\ud800"`, `"é"`, "\"\x7f\"", "\"\t\"", `"`, `"a`, `a"`, `"a"b"`, `"a" `, `"` + long + `"`, `["a"]`, "{}",
	} {
		want, wantErr := opened.js.call(callParse, opened.vm.ToValue(text))
		got := opened.parseScalar([]byte(text))
		if got == nil {
			continue
		}
		short++
		if wantErr != nil || !got.SameAs(want) || got.ExportType() != want.ExportType() {
			t.Errorf("%s is read as %v, JSON.parse gives %v, %v", text, got, want, wantErr)
		}
	}
	if short < 11 {
		t.Errorf("%d texts were read without the built-in", short)
	}
	short = 0
	for _, code := range []string{
		"0", "-0", "7", "-7", "2**31", "2**53", "1.5", "NaN", "null", "undefined", "true", "false", "''", "'a'", "'é'", "'\\ud800'", "'\"'", "'\\\\'", "'\\n'", "'\\x7f'",
		"'/<&~'", "'x'.repeat(" + "300)", "Symbol('a')", "Symbol.iterator", "[1]", "({})", "new String('a')", "Object(1)", "new Date(0)", "() => 1",
	} {
		v, err := opened.vm.RunString(code)
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := opened.js.call(callStringify, v)
		text, ok := formatScalar(v)
		if !ok {
			continue
		}
		short++
		if wantErr != nil || !goja.IsString(want) || text != want.String() {
			t.Errorf("%s is written as %s, JSON.stringify gives %v, %v", code, text, want, wantErr)
		}
	}
	if short < 8 {
		t.Errorf("%d values were written without the built-in", short)
	}
}
