package scripted_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/providers"
	"statek/internal/providers/providertest"
	"statek/internal/providers/scripted"
)

func play(text string) *scripted.Provider {
	return scripted.New(fstest.MapFS{"triage.md": {Data: []byte(text)}}, nil)
}

func turn(n int) providers.Request { return providers.Request{Agent: "triage", Job: "j", Turn: n} }

func TestConformance(t *testing.T) {
	t.Parallel()
	providertest.Conformance(t, func(_ *testing.T, answers ...providertest.Answer) providers.Provider {
		var entries []string
		for _, a := range answers {
			switch {
			case a.Hang:
				entries = append(entries, "<!-- delay: 1h -->\nlate")
			case a.Status >= 400:
				entries = append(entries, fmt.Sprintf("<!-- error: %d retry-after=%ss -->", a.Status, a.RetryAfter))
			default:
				entries = append(entries, a.Text)
			}
		}
		file := &fstest.MapFile{Data: []byte(strings.Join(entries, "\n----------\n"))}
		return scripted.New(fstest.MapFS{"conformance.md": file}, nil)
	})
}

const script = `
One.
` + "```js\n// ----------\nprint(1)\n```" + `
------------
<!-- error: 429 retry-after=1s -->
-----------
<!-- error: 400 -->
----------

<!-- delay: 1ms -->
Two.
---------
Still two.
----------
`

func TestTurnsPickReplies(t *testing.T) {
	t.Parallel()
	p := play(script)
	want := providers.Reply{
		Text: "One.\n```js\n// ----------\nprint(1)\n```",
		Note: "scripted reply 1 of 2 from triage.md; no model was asked",
	}
	for range 2 {
		got, err := p.Complete(t.Context(), turn(1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestErrorsFailAttemptsOfTheTurnBehindThem(t *testing.T) {
	t.Parallel()
	p := play(script)
	for _, job := range []string{"j", "another"} {
		req := turn(2)
		req.Job = job
		_, first := p.Complete(t.Context(), req)
		if after, ok := providers.Retryable(first); !ok || after != time.Second {
			t.Errorf("first attempt: got %v, retryable %v after %s", first, ok, after)
		}
		_, second := p.Complete(t.Context(), req)
		if _, ok := providers.Retryable(second); ok || second == nil || !strings.Contains(second.Error(), "triage.md") {
			t.Errorf("second attempt: got %v", second)
		}
		third, err := p.Complete(t.Context(), req)
		if err != nil || third.Text != "Two.\n---------\nStill two." {
			t.Errorf("third attempt: got %q, %v", third.Text, err)
		}
	}
}

func TestWhatCannotBePlayedIsAnErrorThatNamesTheFile(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		req        providers.Request
		want       string
	}{
		{"beyond the end", "a\n----------\nb", turn(3), "turn 3 was asked of triage.md, which has 2 replies"},
		{"no turn", "a", turn(0), "turn 0 was asked of triage.md, which has 1 reply"},
		{"empty", "\n----------\n", turn(1), "which has 0 replies"},
		{"no file", "a", providers.Request{Agent: "other", Turn: 1}, "there is no file other.md"},
		{"outside the folder", "a", providers.Request{Agent: "../triage", Turn: 1}, `"../triage.md" is no file name`},
		{"bad delay", "a\n----------\n<!-- delay: soon -->\nb", turn(1), "triage.md: entry on line 3: delay must be a duration"},
		{"bad error", "<!-- error: 200 -->", turn(1), "entry on line 1: error must be an HTTP status"},
		{"bad wait", "<!-- error: 429 retry-after=x -->", turn(1), "retry-after must be a duration"},
		{"text behind an error", "<!-- error: 429 -->\nx", turn(1), "an error is an entry of its own"},
		{"bad directive", "<!-- error: -->", turn(1), "must look like"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := play(c.text).Complete(t.Context(), c.req)
			var pe *providers.Error
			if !errors.As(err, &pe) || pe.Retryable || !strings.Contains(pe.Message, c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	_, err := scripted.New(nil, nil).Complete(t.Context(), turn(1))
	if err == nil || !strings.Contains(err.Error(), "no folder of scripts") {
		t.Errorf("no folder: got %v", err)
	}
	_, err = play("").Complete(t.Context(), providers.Request{Agent: "other", Turn: 1})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist inside", err)
	}
}

func TestEveryReplySaysInTheLogThatNoModelWasAsked(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	p := scripted.New(fstest.MapFS{"triage.md": {Data: []byte("a")}}, slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := p.Complete(t.Context(), turn(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Complete(t.Context(), turn(2)); err == nil {
		t.Fatal("turn 2 was played")
	}
	const want = `level=INFO msg="scripted provider: no model was asked" agent=triage job_id=j turn=1 file=triage.md`
	if n := strings.Count(log.String(), want); n != 1 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("got log %q", log.String())
	}
}
