package sqldef_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sqldef"
)

func TestCompileNumbersParameters(t *testing.T) {
	t.Parallel()
	params := []sqldef.Param{
		{Name: "queue", Type: "text"}, {Name: "n", Type: "int"}, {Name: "ids", Type: "uuid[]"},
		{Name: "unused", Type: "numeric(10,2)"},
	}
	cases := []struct{ name, sql, want, args string }{
		{"one", "select * from t where q = :queue", "select * from t where q = $1::text", "queue"},
		{"repeated names share a number", "select :n, :queue, :n", "select $1::int, $2::text, $1::int", "n queue"},
		{"strings", "select ':queue', 'it''s :n' , :n", "select ':queue', 'it''s :n' , $1::int", "n"},
		{"escape strings", `select E'\':n', :n`, `select E'\':n', $1::int`, "n"},
		{"escape strings go on", "select E'a'\n -- :n\n '\\' :n', :n", "select E'a'\n -- :n\n '\\' :n', $1::int", "n"},
		{"plain strings end at a backslash", `select '\', :n`, `select '\', $1::int`, "n"},
		{"quoted identifiers", `select ":n" from "a"":n" where x=:n`, `select ":n" from "a"":n" where x=$1::int`, "n"},
		{"dollar quotes", "select $$:n$$, $a$ $$:n$a$, :n", "select $$:n$$, $a$ $$:n$a$, $1::int", "n"},
		{"dollars in names open nothing", "select a$b$c, :n, d$b$", "select a$b$c, $1::int, d$b$", "n"},
		{"line comments vanish", "select 1 -- :n ; drop\n, :n -- end", "select 1 \n, $1::int", "n"},
		{"block comments nest", "select /* /* :n */ ; */ :n", "select /* /* :n */ ; */ $1::int", "n"},
		{"casts", "select x::n, :n::text", "select x::n, $1::int::text", "n"},
		{"named arguments", "select f(n := :n, n =>:n)", "select f(n := $1::int, n =>$1::int)", "n"},
		{"slices", "select a[1:n], a[i:n], a[(i):n]", "select a[1:n], a[i:n], a[(i):n]", ""},
		{"slices by parameter", "select a[1 : :n]", "select a[1 : $1::int]", "n"},
		{"parameters in arrays", "select array[:n, :n]", "select array[$1::int, $1::int]", "n"},
		{"parameters after keywords in arrays", "select array[case when true then :n else :n end]",
			"select array[case when true then $1::int else $1::int end]", "n"},
		{"parameters in parentheses in brackets", "select a[(select :n)]", "select a[(select $1::int)]", "n"},
		{"subscripts keep off the type", "select :ids[1]", "select ($1::uuid[])[1]", "ids"},
		{"fields keep off the type", "select :n .x", "select ($1::int) .x", "n"},
		{"fetch wants an atom", "select 1 fetch first :n rows only", "select 1 fetch first ($1::int) rows only", "n"},
		{"words before keep apart", "select 1 limit:n", "select 1 limit $1::int", "n"},
		{"operators touch", "select a=:n+:n", "select a=$1::int+$1::int", "n"},
		{"a semicolon at the end", "select :n ; \n -- done\n ;", "select $1::int", "n"},
		{"built-ins", "select :job_id", "select $1::uuid", "job_id"},
		{"json operators", `select j->>'a', j ? :queue`, `select j->>'a', j ? $1::text`, "queue"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := sqldef.Compile(c.sql, params, sqldef.Param{Name: "job_id", Type: "uuid"})
			if err != nil {
				t.Fatal(err)
			}
			want := sqldef.Statement{SQL: c.want, Args: strings.Fields(c.args)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Compile(%q) (-want +got):\n%s", c.sql, diff)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	params := []sqldef.Param{{Name: "queue", Type: "text"}, {Name: "n", Type: "int"}}
	cases := []struct {
		name, sql string
		line      int
		want      string
	}{
		{"unknown names", "select 1,\n :qeue", 2, "unknown parameter :qeue; declared are :n, :queue"},
		{"unknown names outside ASCII", "select :naïve", 1, ":naïve"},
		{"two statements", "select 1;\ndelete from t", 2, `one statement is expected, but "delete"`},
		{"two statements, one a parameter", "select 1; :n", 1, "one statement"},
		{"positions", "select $1", 1, "$1 has no meaning here"},
		{"nothing", " -- only this\n ; ", 1, "no statement"},
		{"open strings", "select 1,\n 'x", 2, "quote ' is never closed"},
		{"open escape strings", `select E'\'`, 1, "quote ' is never closed"},
		{"open identifiers", `select "x`, 1, `quote " is never closed`},
		{"open comments", "/* /* */ select 1", 1, "comment /* is never closed"},
		{"open dollar quotes", "select $a$ x $b$", 1, "dollar quote $a$ is never closed"},
		{"NUL", "select 1\n\x00", 2, "NUL"},
		{"broken UTF-8", "select '\xff'", 1, "UTF-8"},
		{"locks of a session", "select 1,\n PG_try_advisory_lock(1)", 2, "use pg_try_advisory_xact_lock"},
		{"new tables", "select *\nINTO temp t from u", 2, "SELECT INTO makes a table"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sqldef.Compile(c.sql, params)
			checkError(t, err, c.line, c.want)
		})
	}
}

func TestCompileChecksDeclarations(t *testing.T) {
	t.Parallel()
	for name, params := range map[string][]sqldef.Param{
		"declared twice":              {{Name: "a", Type: "int"}, {Name: "a", Type: "int"}},
		"is the name of a built-in":   {{Name: "job_id", Type: "int"}},
		"not the form of a type name": {{Name: "a", Type: "int; drop table t"}},
		"must be letters":             {{Name: "a-b", Type: "int"}},
	} {
		_, err := sqldef.Compile("select 1", params, sqldef.Param{Name: "job_id", Type: "uuid"})
		checkError(t, err, 1, name)
	}
}

// checkError wants an *Error with the line and the text.
func checkError(t *testing.T, err error, line int, want string) {
	t.Helper()
	var e *sqldef.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if e.Line != line || !strings.Contains(e.Msg, want) {
		t.Errorf("got %q, want line %d: …%s…", e, line, want)
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		"select :a", "select E'\\':a'", "select $x$ :a $x$; --", "/* /* */ */ a[1:a]", ":a[1] :b::text", "a[:a:b]",
		"'", "e'x'\n'\\", "limit:a;;", "::=:", "$1", "$a", "x:a.b",
	} {
		f.Add(seed)
	}
	params := []sqldef.Param{{Name: "a", Type: "int"}, {Name: "b", Type: "text[]"}}
	f.Fuzz(func(t *testing.T, sql string) {
		got, err := sqldef.Compile(sql, params)
		if err != nil {
			var e *sqldef.Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > 1+strings.Count(sql, "\n") {
				t.Fatalf("Compile(%q): error %v has no place in the text", sql, err)
			}
			return
		}
		if len(got.Args) > len(params) {
			t.Fatalf("Compile(%q): more arguments than names: %q", sql, got.Args)
		}
		if len(got.Args) == 0 {
			// Without parameters the result must be stable: it means what the source meant.
			again, err := sqldef.Compile(got.SQL, params)
			if err != nil || again.SQL != got.SQL {
				t.Fatalf("Compile(%q) = %q, then %q, %v", sql, got.SQL, again.SQL, err)
			}
		}
	})
}

func TestOnlyQueriesAreStatements(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"do $$ begin reset role; end $$", "set role postgres", "RESET ROLE", "call p()", "copy t to program 'x'", "create table t()", "  vacuum"} {
		if _, err := sqldef.Compile(sql, nil); err == nil {
			t.Errorf("Compile(%q) was accepted", sql)
		}
	}
	for _, sql := range []string{"select 1", "(select 1)", "With x as (select 1) select * from x", "INSERT into t values (1)", "values (1)", "select(1)", "/* why */ select 1",
		"select pg_advisory_xact_lock(1)", "merge into t using u on true when matched then do nothing", `select 1 as into, t.into, "into"`} {
		if _, err := sqldef.Compile(sql, nil); err != nil {
			t.Errorf("Compile(%q): %v", sql, err)
		}
	}
}
