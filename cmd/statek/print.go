package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"statek/internal/app"
)

const timeForm = "2006-01-02 15:04:05"

// table aligns columns; cells hold one line each.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, head ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = plain(c)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// below writes a line that no column aligns with.
func (t *table) below(text string) {
	_ = t.w.Flush()
	fmt.Fprintln(t.w, "    "+plain(text))
	_ = t.w.Flush()
}

func (t *table) flush() error { return t.w.Flush() }

// plain keeps text from moving the cursor or the columns: it may come from a model.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, text)
}

func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

func (p *program) printJSON(v any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func (p *program) printJSONLine(v any) error { return json.NewEncoder(p.stdout).Encode(v) }

func (p *program) printJobs(page app.JobPage) error {
	t := newTable(p.stdout, "ID", "AGENT", "PREFIX", "STATUS", "WAITS FOR", "CREATED")
	for _, j := range page.Jobs {
		t.row(j.ID.String(), j.Agent, j.Prefix, status(j), j.BlockedOn, j.CreatedAt.Local().Format(timeForm))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page.Next != "" {
		fmt.Fprintf(p.stderr, "more: --cursor %s\n", page.Next)
	}
	return nil
}

func status(j app.Job) string {
	if j.Outcome != "" {
		return j.Status + " " + j.Outcome
	}
	return j.Status
}

func (p *program) printJob(j app.Job) error {
	t := newTable(p.stdout)
	field := func(name, value string) {
		if value != "" {
			t.row(name+":", value)
		}
	}
	field("id", j.ID.String())
	field("agent", fmt.Sprintf("%s version %d", j.Agent, j.AgentVersion))
	field("prefix", j.Prefix)
	field("status", status(j))
	field("blocked", j.BlockedWhy)
	field("result", string(j.Result))
	field("error", j.Error)
	field("source", j.Source)
	field("locale", j.Locale)
	field("tags", strings.Join(j.Tags, ", "))
	field("key", j.Key)
	field("priority", strconv.Itoa(j.Priority))
	field("cells", strconv.Itoa(j.Cells))
	field("turns", strconv.Itoa(j.Turns))
	field("created", j.CreatedAt.Local().Format(timeForm))
	field("changed", j.ChangedAt.Local().Format(timeForm))
	if j.FinishedAt != nil {
		field("finished", j.FinishedAt.Local().Format(timeForm))
	}
	return t.flush()
}

// printRow prints a row of history: its time and sentence, and what code printed in full, indented.
func (p *program) printRow(row app.HistoryRow) error {
	var b strings.Builder
	text := row.Text
	var console struct{ Lines []string }
	if row.Kind == "console" && json.Unmarshal(row.Payload, &console) == nil && len(console.Lines) > 0 {
		text = "printed:"
	} else {
		console.Lines = nil
	}
	fmt.Fprintf(&b, "%s  %s\n", row.At.Local().Format("15:04:05.000"), plain(text))
	for _, entry := range console.Lines {
		for line := range strings.SplitSeq(entry, "\n") {
			fmt.Fprintf(&b, "                %s\n", plain(line))
		}
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

func (p *program) printVariables(list []app.Variable) error {
	t := newTable(p.stdout, "NAME", "TYPE", "BYTES", "CELL", "VALUE")
	for _, v := range list {
		value := string(v.Value)
		if v.Refused != "" {
			value = v.Refused
		}
		t.row(v.Name, v.Type, strconv.Itoa(v.Bytes), strconv.Itoa(v.Cell), shortened(value, 100))
	}
	return t.flush()
}

func (p *program) printAgents(list []app.Agent) error {
	t := newTable(p.stdout, "ROLE", "PREFIX", "VERSION", "MODEL", "CREATED")
	for _, a := range list {
		t.row(a.Role, a.Prefix, strconv.Itoa(a.Version), a.Meta["MODEL"], a.CreatedAt.Local().Format(timeForm))
	}
	return t.flush()
}

func (p *program) printExplanation(e app.Explanation) error {
	t := newTable(p.stdout)
	t.row("status:", status(e.Job))
	t.row("why:", e.Why)
	if e.Owner != "" {
		t.row("held by:", "worker "+e.Owner)
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, w := range e.Waits {
		fmt.Fprintf(p.stdout, "\n%s (%s, call %d)\n", plain(w.Name), w.Kind, w.Call)
		t := newTable(p.stdout)
		for _, l := range [][2]string{
			{"why", w.Why},
			{"since", w.Since.Local().Format(timeForm)},
			{"due", optionalTime(w.Due)},
			{"woken by", strings.Join(w.Deps, ", ")},
			{"last look", optionalTime(w.LastAt)},
			{"last result", w.LastResult},
			{"last error", w.LastError},
			{"next look", optionalTime(w.NextLook)},
			{"touched", touched(w)},
		} {
			if l[1] != "" {
				t.row("  "+l[0]+":", l[1])
			}
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	return nil
}

// touched says what a write touched last.
func touched(w app.WaitExplain) string {
	if w.Touches == 0 {
		return ""
	}
	return fmt.Sprintf("%s, at %s; %d writes so far", w.Touched, optionalTime(w.TouchedAt), w.Touches)
}

func optionalTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format(timeForm)
}
