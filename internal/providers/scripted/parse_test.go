package scripted

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add("a\n----------\n<!-- delay: 1s -->\nb\n----------\n<!-- error: 429 retry-after=1s -->")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse(text)
		if err != nil {
			return
		}
		if entries := len(s.replies) + len(s.after); entries > 1+strings.Count(text, "\n") {
			t.Fatalf("%q became %d entries", text, entries)
		}
		for _, r := range s.replies {
			if r.delay < 0 {
				t.Fatalf("a negative delay in %q", text)
			}
		}
	})
}
