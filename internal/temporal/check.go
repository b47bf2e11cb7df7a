package temporal

import (
	"regexp"
	"slices"
	"strings"

	"statek/internal/sqldef"
)

// check finds what Postgres would accept but what would wait for ever, or claim nothing.
func (p *parser) check() error {
	condition, _ := p.file.Section("condition")
	words := lex(condition.SQL)
	if p.def.Recheck == "" {
		if len(p.def.Watches) == 0 {
			return p.errorf(condition.Line, `nothing would ever look at this condition again: add "-- watch: schema.table key column", or "-- recheck: 5s"`)
		}
		if w, ok := volatile(words); ok {
			return p.errorf(condition.Line+w.line, `the condition uses %s, so it can become true without any write: add "-- recheck: 5s"`, w.text)
		}
	}
	complement, _ := p.file.Section("complement")
	taken := lex(complement.SQL)
	claims := has(taken, "update") || has(taken, "delete") || has(taken, "insert")
	if !claims {
		p.warnf(complement.Line, "the complement neither updates, deletes nor inserts: several jobs would get the same value")
	} else if trap.MatchString(blanked(complement.SQL)) {
		p.warnf(complement.Line, "IN (select … limit … skip locked) may be planned as a join that takes more rows than the limit says: write = (select …), or = any(array(select …))")
	} else if !has(taken, "skip") && !has(taken, "insert") {
		p.warnf(complement.Line, "the complement does not lock with FOR UPDATE SKIP LOCKED: it may wait for other transactions, or take a row they took")
	}
	if claims && p.def.Release == nil {
		p.warnf(complement.Line, `a value that is claimed but then discarded (cancel, abort) is not given back: add a "-- release" section`)
	}
	return nil
}

// token is a word of SQL outside literals and comments, lower-case, or a parenthesis.
type token struct {
	text string
	line int // from 0
	call bool
}

var (
	noise = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$\$.*?\$\$`)
	lexer = regexp.MustCompile(`\n|[()]|(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"]+")(?:\.(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"]+"))*|[^\sA-Za-z_"()]+`)
)

// trap is a sub-select that the planner may run again and again.
var trap = regexp.MustCompile(`(?is)\bin\s*\(\s*select\b[^)]*\bskip\s+locked`)

// blanked is the text without literals and comments; line breaks stay.
func blanked(sql string) string {
	return noise.ReplaceAllStringFunc(sql, func(s string) string { return " " + strings.Repeat("\n", strings.Count(s, "\n")) })
}

// lex is good enough for advice; it is not a parser. Nested comments and tagged dollar quotes pass as SQL.
func lex(sql string) []token {
	var words []token
	line := 0
	for _, text := range lexer.FindAllString(blanked(sql), -1) {
		if text == "\n" {
			line++
			continue
		}
		if text == "(" && len(words) > 0 {
			words[len(words)-1].call = true
		}
		words = append(words, token{text: foldedPath(text), line: line})
	}
	return words
}

func foldedPath(text string) string {
	parts := strings.Split(text, ".")
	for i := range parts {
		parts[i] = folded(parts[i])
	}
	return strings.Join(parts, ".")
}

func has(words []token, text string) bool {
	return slices.ContainsFunc(words, func(w token) bool { return w.text == text })
}

// volatile finds what changes by itself.
func volatile(words []token) (token, bool) {
	for _, w := range words {
		name := w.text[strings.LastIndexByte(w.text, '.')+1:]
		switch name {
		case "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp":
			return w, true
		case "now", "random", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday",
			"gen_random_uuid", "uuid_generate_v4", "nextval", "pg_sleep":
			if w.call {
				return w, true
			}
		}
	}
	return token{}, false
}

// Call is a function that a statement calls, as it is written there.
type Call struct {
	Name string
	Line int // in the file
}

// Calls lists what looks like function calls in a statement, for those who can ask a catalogue about them.
func Calls(st sqldef.Statement) []Call {
	var list []Call
	for _, w := range lex(st.SQL) {
		if w.call && w.text != "" && (w.text[0] == '_' || w.text[0] >= 'a') {
			list = append(list, Call{Name: w.text, Line: st.Line + w.line})
		}
	}
	return list
}
