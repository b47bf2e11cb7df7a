package jsvm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

func compileText(text string) error {
	_, err := compileCell(text, "", Limits{}.WithDefaults(), func(string) bool { return false })
	return err
}

// largest is the family's largest text that is not longer than size.
func largest(text func(int) string, size int) string {
	low, high := 1, size
	for low < high {
		mid := (low + high + 1) / 2
		if len(text(mid)) <= size {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return text(low)
}

// TestNothingNestsTooDeepForTheParsers runs in a process of its own, with the stack that a sandbox child has:
// a parser that goes deeper ends it.
func TestNothingNestsTooDeepForTheParsers(t *testing.T) {
	t.Parallel()
	if os.Getenv("JSVM_FAMILIES") == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingNestsTooDeepForTheParsers$", "-test.count=1", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), "JSVM_FAMILIES=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out[max(0, len(out)-4000):])
		}
		return
	}
	debug.SetMaxStack(64 << 20)
	for _, f := range families {
		for _, size := range []int{100, 2_000, 8_000, 64 << 10} {
			err := compileText(largest(f.text, size))
			var syntax *SyntaxError
			if err != nil && !errors.As(err, &syntax) {
				t.Errorf("%s, %d bytes: got %v", f.name, size, err)
			}
			bounded := err != nil && (strings.Contains(err.Error(), "limit") || strings.Contains(err.Error(), "a slash can divide") ||
				strings.Contains(err.Error(), "only in web pages") || strings.Contains(err.Error(), "inside each other") || strings.Contains(err.Error(), "#!"))
			if size == 64<<10 && bounded == slices.Contains(flat, f.name) {
				t.Errorf("%s, %d bytes: bounded is %v: %v", f.name, size, bounded, err)
			}
		}
	}
}

// admitted fills a source with the largest texts of a family that pass, one after the other.
func admitted(f family) string {
	limits := Limits{}.WithDefaults()
	low, high := 1, limits.SourceBytes
	for low < high {
		mid := (low + high + 1) / 2
		text := f.text(mid)
		if _, err := prescan(text, limits, false); err == nil && len(text) < limits.SourceBytes {
			low = mid
		} else {
			high = mid - 1
		}
	}
	one := f.text(low) + ";\n"
	return strings.Repeat(one, max(1, limits.SourceBytes/len(one)))
}

// TestTheLargestAdmittedTextsAreRead asserts on termination alone; BenchmarkAdmitted says how long it takes.
func TestTheLargestAdmittedTextsAreRead(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		begin := time.Now()
		if err := compileText(admitted(f)); err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("%s: got %v", f.name, err)
			}
		}
		t.Logf("%-50s %s", f.name, time.Since(begin).Round(time.Millisecond))
	}
}

func BenchmarkAdmitted(b *testing.B) {
	for _, f := range families {
		text := admitted(f)
		b.Run(f.name, func(b *testing.B) {
			for b.Loop() {
				_ = compileText(text)
			}
		})
	}
}

func TestBoundsSayLimitAmountAndRemedy(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		strings.Repeat(" ", 70_000): "the source has 70000 bytes; the limit is 65536 (source_bytes): split it",
		strings.Repeat("[", 300):    "more than 200 open brackets; the limit is 200 (nesting): use variables",
		strings.Repeat("-x", 3000):  "more than 2000 operators in one expression or chain; the limit is 2000 (operators): use several",
		"\n\n  /" + strings.Repeat("(", 300) + strings.Repeat(")", 300) + "/":           "the limit is 200; use a simpler one (3:3)",
		"/" + strings.Repeat("a", 30_000) + "/":                                         "a regular expression has 30000 characters; the limit is 20000",
		"let a = function () {}\n/[/*]/.test(a)":                                        "put the regular expression, or what is before the slash, in parentheses (2:1)",
		"for await (const x of y) {" + strings.Repeat("for await (const x of y) {", 60): "(operators)",
	}
	for source, want := range tests {
		err := compileText(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", source, err, want)
		}
	}
}

func TestRegularExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	for _, p := range patterns {
		for _, size := range []int{1_000, 5_000, 20_000, 60_000} {
			source := largest(p.text, size)
			problem := checkRegExp(source, p.flags)
			if size == 60_000 && problem == "" {
				t.Errorf("%s: not refused", p.name)
			}
			literal := compileText("/" + source + "/" + p.flags)
			if problem != "" && literal == nil {
				t.Errorf("%s, %d characters: the literal is not refused", p.name, size)
			}
		}
	}
	for _, usual := range []string{
		`^[\w.+-]+@[\w-]+\.[\w.]{2,24}$`, `^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$`,
		`^(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$`, `^.{0,5000}$`, `[\s\S]{1,100000}`, `a{`, `{}`, `x{,3}`, `[{(]`, `\{1000000\}`, `(\d{1,3}(,\d{3}){0,10}){1,20}`,
	} {
		if problem := checkRegExp(usual, "i"); problem != "" {
			t.Errorf("%s: %s", usual, problem)
		}
	}
}

// realistic are large cells of the kinds that models write.
func realistic() map[string]string {
	var data, sum, elses, method, cases, config, keys, floats strings.Builder
	for i := range 1600 {
		fmt.Fprintf(&data, "  {id: %d, name: 'n%d', ok: %v},\n", i, i, i%2 == 0)
	}
	for i := range 800 {
		fmt.Fprintf(&sum, " +\n  '<td>' + rows[%d].a.b", i)
	}
	for i := range 150 {
		fmt.Fprintf(&elses, "if (x === %d && y.z(%d)) {\n  out = %d + x;\n} else ", i, i, i)
		fmt.Fprintf(&cases, "  case 'k%d': case %d: out = [%d]; break;\n", i, i, i)
	}
	for i := range 100 {
		fmt.Fprintf(&method, "\n  .map((v) => v + %d)", i)
	}
	for range 40 {
		config.WriteString("{a: [1, {b: ")
	}
	config.WriteString("1" + strings.Repeat("}]}", 40))
	for i := range 1500 {
		fmt.Fprintf(&keys, "case %d:\n", i)
		fmt.Fprintf(&floats, "%d.5, -%d.25e-3, ", i, i)
	}
	return map[string]string{
		"data":                          "const data = [\n" + data.String() + "];\ndata.length",
		"sum":                           "const rows = Array.from({length: 800}, () => ({a: {b: 1}}));\nconst html = ''" + sum.String() + ";\nhtml.length",
		"else if":                       "let out, x = 149, y = {z: (n) => true};\n" + elses.String() + "{ out = 0; }\nout",
		"methods":                       "[1]" + method.String() + "[0]",
		"cases":                         "let out;\nswitch ('k7') {\n" + cases.String() + "  default: out = 1;\n}\nout[0]",
		"config":                        "const config = " + config.String() + ";\nObject.keys(config).length",
		"keys":                          "let out = 0;\nswitch (7) {\n" + keys.String() + "out = 1;\n}\nout",
		"numbers":                       "const list = [" + floats.String() + "];\nlist.length",
		"no semicolons":                 strings.Repeat("if (true) { globalThis.n = 1 }\nfor (const k of [1]) { globalThis.n++ }\n", 800) + "n",
		"functions":                     strings.Repeat("function f(a, b = {}) {\n  const c = a ? b : 1\n  return c / 2\n}\n", 900) + "f(1, 4)",
		"a chain of promises":           "await Promise.resolve(1)" + strings.Repeat("\n  .then((n) => { if (n) { return n + 1 } else { return 0 } })", 120),
		"types":                         "interface A { a: { b: { c: Array<Map<string, number>> } } }\n" + strings.Repeat("const f = (x: A, y?: Array<{ z: number }>): number => (y?.length ?? 0) / 2 as number;\n", 1) + "f(null as any)",
		"division on a line of its own": "const total = 12, count = 4;\nconst avg = total\n  / count; // of all / per day\navg",
		"comments":                      strings.Repeat("// a (comment [with {brackets\n/* and (more */\n", 1000) + "1",
		"text":                          "const text = `" + strings.Repeat("line (with [brackets { and 'quotes'\n", 1500) + "`;\ntext.length > 0",
	}
}

func TestLargeUsualCellsRun(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"data": "1600", "sum": "4000", "else if": "298", "methods": "4951", "cases": "7", "config": "1", "keys": "1", "numbers": "3000", "no semicolons": "2",
		"functions": "2", "a chain of promises": "121", "types": "0", "division on a line of its own": "3", "comments": "1", "text": "true",
	}
	for name, source := range realistic() {
		s, err := NewInProcess().Open(t.Context(), Setup{})
		if err != nil {
			t.Fatal(err)
		}
		step, err := s.Run(t.Context(), Cell{Number: 1, Source: source})
		if err != nil || step.Echo != want[name] {
			t.Errorf("%s (%d bytes): got %s %v %v", name, len(source), step.Echo, step.Err, err)
		}
		s.Close()
	}
}
