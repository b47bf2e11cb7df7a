package temporal

import (
	"regexp"
	"slices"
	"strings"
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
		if w, ok := p.unwatched(words); ok {
			return p.errorf(condition.Line+w.line, `the condition reads %s, which is not watched: add "-- watch: %s" or "-- recheck: 5s"`, w.text, w.text)
		}
	}
	complement, _ := p.file.Section("complement")
	taken := lex(complement.SQL)
	claims := has(taken, "update") || has(taken, "delete") || has(taken, "insert")
	if !claims {
		p.warnf(complement.Line, "the complement neither updates, deletes nor inserts: several jobs would get the same value")
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

// lex is good enough for advice; it is not a parser. Nested comments and tagged dollar quotes pass as SQL.
func lex(sql string) []token {
	blanked := noise.ReplaceAllStringFunc(sql, func(s string) string { return " " + strings.Repeat("\n", strings.Count(s, "\n")) })
	var words []token
	line := 0
	for _, text := range lexer.FindAllString(blanked, -1) {
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

// unwatched finds a schema-qualified table after FROM or JOIN that no watch names. Unqualified names may be
// common table expressions; they pass.
func (p *parser) unwatched(words []token) (token, bool) {
	var calls []string // what stands before each open parenthesis
	for i, w := range words {
		switch w.text {
		case "(":
			before := ""
			if i > 0 {
				before = words[i-1].text
			}
			calls = append(calls, before)
			continue
		case ")":
			calls = calls[:max(len(calls)-1, 0)]
			continue
		}
		if i == 0 || !strings.Contains(w.text, ".") || w.call || !opensTable(words, i-1, calls) {
			continue
		}
		if !slices.ContainsFunc(p.def.Watches, func(x Watch) bool { return x.Relation == w.text }) {
			return w, true
		}
	}
	return token{}, false
}

// opensTable reports whether the word at i is followed by a table: FROM, but not that of extract(epoch from
// x) or is distinct from x.
func opensTable(words []token, i int, calls []string) bool {
	if words[i].text == "only" && i > 0 {
		i--
	}
	switch words[i].text {
	case "join":
		return true
	case "from":
		if i > 0 && words[i-1].text == "distinct" {
			return false
		}
		return len(calls) == 0 || !slices.Contains([]string{"extract", "substring", "trim", "overlay"}, calls[len(calls)-1])
	default:
		return false
	}
}
