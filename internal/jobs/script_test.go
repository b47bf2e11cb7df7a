package jobs_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/jobs"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestScripts plays testdata/*.txt. A script is a list of blocks: lines of input, a line of dashes, and what
// came of it, up to an empty line. An input line is an event ("cell_started cell=1 …"), a mailbox row
// ("mail interrupt …") or the clock ("clock +5s"). Missing output fails; -update writes it.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d scripts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newPlayer(t).play(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// player holds one job and its history.
type player struct {
	t       *testing.T
	job     jobs.Job
	history []jobs.Entry
	now     time.Time
}

// start is when every script begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newPlayer(t *testing.T) *player {
	t.Helper()
	return &player{t: t, now: start}
}

// play returns the script with the output that came of it.
func (p *player) play(script string) string {
	var out, block strings.Builder
	output := false // inside the old output, which is replaced
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		case strings.HasPrefix(line, "----"):
			out.WriteString("----\n" + block.String())
			block.Reset()
			output = true
		case line == "":
			output = false
			out.WriteString("\n")
		case !output:
			out.WriteString(line + "\n")
			p.line(line, &block)
		}
	}
	if block.Len() > 0 {
		p.t.Errorf("the last lines of the script have no ----")
	}
	p.checkFold()
	return out.String()
}

// line performs one line of input and writes what came of it.
func (p *player) line(line string, out *strings.Builder) {
	p.t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "clock":
		d, err := time.ParseDuration(strings.TrimPrefix(rest, "+"))
		if err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		p.now = p.now.Add(d)
	case "mail":
		events, later := jobs.Open(p.job, parseMail(p.t, rest), p.now)
		switch {
		case later:
			out.WriteString("stays in the mailbox\n")
		case len(events) == 0:
			out.WriteString("too late\n")
		}
		for _, ev := range events {
			fmt.Fprintf(out, "%s\n", showEvent(p.t, ev))
			p.step(ev, out)
		}
	default:
		p.step(parseEvent(p.t, word, rest), out)
	}
}

func (p *player) step(ev jobs.Event, out *strings.Builder) {
	p.t.Helper()
	before := p.job
	job, effects, err := jobs.Step(p.job, ev, p.now)
	if err != nil {
		fmt.Fprintf(out, "refused: %v\n", err)
		if diff := cmp.Diff(before, job); diff != "" {
			p.t.Errorf("a refused event changed the job:\n%s", diff)
		}
		return
	}
	if job.Seq > p.job.Seq {
		p.history = append(p.history, jobs.Entry{Seq: job.Seq, At: p.now, Event: ev})
	}
	p.job = job
	fmt.Fprintf(out, "%s\n", showJob(job))
	for _, e := range effects {
		fmt.Fprintf(out, "-> %s\n", showEffect(e))
	}
}

// checkFold compares the job with what its history says, after a trip through JSON.
func (p *player) checkFold() {
	p.t.Helper()
	for i, e := range p.history {
		payload, err := jobs.Encode(e.Event)
		if err != nil {
			p.t.Fatal(err)
		}
		if p.history[i].Event, err = jobs.Decode(e.Event.Kind(), payload); err != nil {
			p.t.Fatal(err)
		}
	}
	folded, err := jobs.Fold(p.history)
	if err != nil {
		p.t.Fatal(err)
	}
	if diff := cmp.Diff(folded, p.job); diff != "" {
		p.t.Errorf("the fold of the history (-) is not the job (+):\n%s", diff)
	}
}
