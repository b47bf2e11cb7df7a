// Command testcount reads `go test -json` from standard input and prints what a person wants to know: a line per
// package, the output of what failed, and last the number of tests. It fails when a test failed, when a package
// did not build, and when no test ran at all.
//
// It must not hide anything: output of a package outside its tests is printed when the package fails.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	ok, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// tally is what was seen so far.
type tally struct {
	passed, failed, skipped int
	broken                  int                 // packages that failed without a failing test
	output                  map[string][]string // by package and test, until it is known to be good
	tests, failures         map[string]int      // by package
}

// report copies what matters to out; it is good when tests ran and none failed.
func report(in io.Reader, out io.Writer) (bool, error) {
	t := tally{output: map[string][]string{}, tests: map[string]int{}, failures: map[string]int{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var ev event
			if json.Unmarshal(line, &ev) != nil {
				fmt.Fprintf(out, "%s", line) // not of the test: the go command itself speaks
			} else {
				t.see(ev, out)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if t.broken > 0 {
		fmt.Fprintf(out, "%d packages failed outside their tests\n", t.broken)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return t.failed == 0 && t.broken == 0 && t.passed > 0, nil
}

// see counts one event.
func (t *tally) see(ev event, out io.Writer) {
	key := ev.Package + ev.ImportPath + " " + ev.Test
	switch ev.Action {
	case "output", "build-output":
		if strings.HasPrefix(ev.Output, "=== ") {
			return // RUN, PAUSE and CONT say nothing once it is over
		}
		t.output[key] = append(t.output[key], ev.Output)
		return
	case "build-fail":
		t.print(key, out)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	if ev.Test == "" {
		t.pack(ev, key, out)
		return
	}
	t.tests[ev.Package]++
	switch ev.Action {
	case "pass":
		t.passed++
	case "skip":
		t.skipped++
		t.print(key, out)
	case "fail":
		t.failed++
		t.failures[ev.Package]++
		t.print(key, out)
	}
	delete(t.output, key)
}

// pack ends a package.
func (t *tally) pack(ev event, key string, out io.Writer) {
	switch {
	case ev.Action == "fail":
		if t.failures[ev.Package] == 0 {
			t.broken++
		}
		t.print(key, out)
	case t.tests[ev.Package] > 0:
		fmt.Fprintf(out, "ok    %-40s %4d tests %8.2fs\n", ev.Package, t.tests[ev.Package], ev.Elapsed)
	}
	for other := range t.output {
		if other == key || len(other) > len(ev.Package) && other[:len(ev.Package)+1] == ev.Package+" " {
			if ev.Action == "fail" {
				t.print(other, out) // of a test that never ended
			}
			delete(t.output, other)
		}
	}
}

func (t *tally) print(key string, out io.Writer) {
	for _, line := range t.output[key] {
		fmt.Fprint(out, line)
	}
	delete(t.output, key)
}
