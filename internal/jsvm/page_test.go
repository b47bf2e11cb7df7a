package jsvm_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"statek/internal/jsvm"
	"statek/internal/jsvm/jsvmtest"
)

// TestPageIsTrue runs the examples of docs/javascript.md: each line that ends in an arrow ends a cell, and the
// cells of one fence share a session. After the arrow is the echo, or "! " and part of the error.
func TestPageIsTrue(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/javascript.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, fence := range regexp.MustCompile("(?s)```(?:js|ts)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		s := open(t, jsvm.Setup{Grants: []jsvm.Grant{}})
		cell := ""
		for _, line := range strings.Split(strings.TrimSpace(fence[1]), "\n") {
			code, want, ends := strings.Cut(line, "// → ")
			if cell += code + "\n"; !ends {
				continue
			}
			checked++
			if got := outcome(run(t, s, cell)); !jsvmtest.Matches(strings.Replace(want, "! ", "!", 1), got) {
				t.Errorf("%s got %s\nwant %s", cell, got, want)
			}
			cell = ""
		}
		if cell != "" {
			t.Errorf("nothing is said of: %s", cell)
		}
	}
	if checked < 25 {
		t.Fatalf("checked only %d examples", checked)
	}
}
