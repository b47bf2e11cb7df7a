package temporal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sqldef"
	"statek/internal/temporal"
)

const pickNextTask = `-- temporal: pickNextTask(queue text)
-- Takes the oldest ready task of a queue.
-- watch: app.tasks key queue
-- condition
select 1 from app.tasks where queue = :queue and state = 'ready'
-- complement
update app.tasks set state = 'taken', job = :job_id
where id = (select id from app.tasks where queue = :queue order by id limit 1 for update skip locked)
returning id, title
-- release
update app.tasks set state = 'ready' where id = (:value->>'id')::bigint
`

func TestParseDefinition(t *testing.T) {
	t.Parallel()
	def, warnings, err := temporal.ParseDefinition("pickNextTask.sql", pickNextTask)
	if err != nil {
		t.Fatal(err)
	}
	want := temporal.Definition{
		Name: "pickNextTask", Description: "Takes the oldest ready task of a queue.",
		Params:  []sqldef.Param{{Name: "queue", Type: "text"}},
		Watches: []temporal.Watch{{Relation: "app.tasks", Column: "queue", Param: "queue", Line: 3}},
		Condition: sqldef.Statement{
			SQL: "select 1 from app.tasks where queue = $1::text and state = 'ready'", Args: []string{"queue"}, Line: 5,
		},
		Complement: sqldef.Statement{
			SQL: "update app.tasks set state = 'taken', job = $1::uuid\nwhere id = (select id from app.tasks where queue = $2::text " +
				"order by id limit 1 for update skip locked)\nreturning id, title", Args: []string{"job_id", "queue"}, Line: 7,
		},
		Release: &sqldef.Statement{SQL: "update app.tasks set state = 'ready' where id = ($1::jsonb->>'id')::bigint", Args: []string{"value"}, Line: 11},
	}
	if diff := cmp.Diff(want, def); diff != "" {
		t.Error(diff)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %v, want none", warnings)
	}
	if got, want := temporal.Signature(def), "function pickNextTask(queue: string, options?: {timeout?: number | string}): Promise<Record<string, any>>"; got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
}

const head = "-- temporal: t(queue text, n numeric)\n"

func TestParseDefinitionRefuses(t *testing.T) {
	t.Parallel()
	body := "-- condition\nselect 1 from app.tasks\n-- complement\nselect 1\n"
	watch := "-- watch: app.tasks key queue\n"
	for _, test := range []struct{ name, text, want string }{
		{"no signature", watch + body, `f.sql:1: a line such as "-- temporal:`},
		{"bad signature", "-- temporal: t(queue)\n" + body, "f.sql:1: "},
		{"built in", "-- temporal: sleep(a int)\n" + watch + body, "f.sql:1: sleep is a built-in wait"},
		{"own name", "-- temporal: t(job_id uuid)\n" + watch + body, "f.sql:1: parameter job_id"},
		{"no watch", head + body, `f.sql:3: nothing would ever look at this condition again`},
		{"unqualified watch", head + "-- watch: tasks key queue\n" + body, "f.sql:2: watch \"tasks key queue\" must look like"},
		{"unknown key", head + "-- watch: app.tasks key q\n" + body, "f.sql:2: key q is no parameter of t"},
		{"key type", head + "-- watch: app.tasks key q = :n\n" + body, "f.sql:2: parameter n has type numeric, which cannot be a key"},
		{"now", head + watch + "-- condition\nselect 1 from app.tasks\nwhere run_at <= now()\n-- complement\nselect 1", "f.sql:5: the condition uses now"},
		{"current_date", head + watch + "-- condition\nselect 1 from app.tasks where d = CURRENT_DATE\n-- complement\nselect 1", "uses current_date"},
		{"two mistakes", head + "-- watch: tasks\n-- recheck: 1ms\n-- condition\nselect :a\n-- complement\nselect :b", "f.sql:2: watch \"tasks\" must look like"},
		{"all of them", head + "-- watch: tasks\n-- recheck: 1ms\n-- condition\nselect :a\n-- complement\nselect :b", "\nf.sql:5: unknown parameter :a"},
		{"the last too", head + "-- watch: tasks\n-- recheck: 1ms\n-- condition\nselect :a\n-- complement\n\nselect\n:b", "\nf.sql:9: unknown parameter :b"},
		{"unknown parameter", head + watch + "-- condition\nselect 1\nfrom app.tasks where a = :b\n-- complement\nselect 1", "f.sql:5: unknown parameter :b"},
		{"job in condition", head + watch + "-- condition\nselect :job_id\n-- complement\nselect 1", "f.sql:4: unknown parameter :job_id"},
		{"no complement", head + watch + "-- condition\nselect 1\n", `section "-- complement" is missing`},
		{"recheck", head + watch + "-- recheck: often\n" + body, `f.sql:3: recheck must be a time such as "5s", got "often"`},
		{"recheck too short", head + watch + "-- recheck: 10ms\n" + body, "f.sql:3: recheck must be between 1s and 24h"},
		{"unknown header", head + "-- wach: app.tasks\n" + body, "f.sql:2: unknown header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := temporal.ParseDefinition("f.sql", test.text)
			var syntax *temporal.SyntaxError
			if !errors.As(err, &syntax) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a SyntaxError with %q", err, test.want)
			}
		})
	}
}

func TestParseDefinitionAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"recheck for now":      head + "-- recheck: 5s\n-- condition\nselect now() > '2026-01-01'\n-- complement\ndelete from app.t where false returning 1",
		"now in a string":      head + "-- watch: app.tasks\n-- condition\nselect 'now()' /* now() */ -- now()\n from app.tasks\n-- complement\nselect 1",
		"extract from column":  head + "-- watch: app.tasks\n-- condition\nselect extract(epoch from t.at) from app.tasks t where t.a is distinct from t.b\n-- complement\nselect 1",
		"quoted and mixed":     head + "-- watch: app.\"Tasks\" key \"Q\" = :queue\n-- condition\nselect 1 from APP.\"Tasks\"\n-- complement\nselect 1",
		"common table":         head + "-- watch: app.tasks\n-- condition\nwith x as (select 1 from app.tasks) select 1 from x\n-- complement\nselect 1",
		"a function, no table": head + "-- watch: app.tasks\n-- condition\nselect 1 from app.ready(:queue)\n-- complement\nselect 1",
	} {
		if _, _, err := temporal.ParseDefinition("f.sql", text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseDefinitionWarns(t *testing.T) {
	t.Parallel()
	watch := "-- watch: app.tasks\n-- condition\nselect 1 from app.tasks\n-- complement\n"
	for text, want := range map[string]string{
		"select 1":                               "f.sql:6: the complement neither updates",
		"update app.tasks set a = 1 returning 1": "SKIP LOCKED",
		"update app.tasks set a = 1 where id in (select id from app.tasks limit 1 for update skip locked) returning 1": "f.sql:6: IN (select … limit … skip locked)",
		"delete from app.tasks where id in (select 1 for update skip locked) returning 1\n--":                          `"-- release"`,
	} {
		_, warnings, err := temporal.ParseDefinition("f.sql", head+watch+text)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, w := range warnings {
			all = append(all, w.String())
		}
		if !strings.Contains(strings.Join(all, "\n"), want) {
			t.Errorf("%q: warnings %q, want %q", text, all, want)
		}
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add(pickNextTask)
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := temporal.ParseDefinition("f.sql", text)
		var syntax *temporal.SyntaxError
		if err != nil && (!errors.As(err, &syntax) || syntax.Line < 1) {
			t.Errorf("error without a place: %v", err)
		}
	})
}
