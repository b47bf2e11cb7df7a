package sqldef_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sqldef"
)

func temporalLayout() sqldef.Layout {
	return sqldef.Layout{
		Keys:  []string{"temporal", "watch", "recheck"},
		Names: []string{"condition", "complement", "release"},
	}
}

const pickNextTask = `-- temporal: pickNextTask(queue text)
-- The next open task of a queue: waits until there is one.
-- Example: await pickNextTask('billing')
-- watch: app.tasks key queue
-- watch: app.queues

-- condition
select exists (select from app.tasks where queue = :queue)

-- complement
-- Others may hold rows: skip them.
delete from app.tasks where id = (
  select id from app.tasks where queue = :queue and note <> '
-- release
' limit 1 for update skip locked)
returning *;
-- recheck: 5s
`

func TestSectionsCutAFile(t *testing.T) {
	t.Parallel()
	got, err := sqldef.Sections(pickNextTask, temporalLayout())
	if err != nil {
		t.Fatal(err)
	}
	want := sqldef.File{
		Headers: []sqldef.Header{
			{Key: "temporal", Value: "pickNextTask(queue text)", Line: 1},
			{Key: "watch", Value: "app.tasks key queue", Line: 4},
			{Key: "watch", Value: "app.queues", Line: 5},
			{Key: "recheck", Value: "5s", Line: 17},
		},
		Description: "The next open task of a queue: waits until there is one.\nExample: await pickNextTask('billing')",
		Sections: []sqldef.Section{
			{Name: "condition", SQL: "select exists (select from app.tasks where queue = :queue)", Line: 8},
			{Name: "complement", Line: 11, SQL: `-- Others may hold rows: skip them.
delete from app.tasks where id = (
  select id from app.tasks where queue = :queue and note <> '
-- release
' limit 1 for update skip locked)
returning *;`},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := got.Section("release"); ok {
		t.Error("a line inside a literal opened a section")
	}
	if h, ok, err := got.Header("recheck"); !ok || err != nil || h.Value != "5s" {
		t.Errorf("Header(recheck) = %v, %v, %v", h, ok, err)
	}
	_, _, err = got.Header("watch")
	checkError(t, err, 5, `header "watch" appears twice`)
}

func TestSectionErrorsCountTheFilesLines(t *testing.T) {
	t.Parallel()
	file, err := sqldef.Sections("-- temporal: a()\r\n\r\n-- condition\r\n\r\nselect true\r\n and :b\r\n", temporalLayout())
	if err != nil {
		t.Fatal(err)
	}
	condition, _ := file.Section("condition")
	_, err = condition.Compile(nil)
	checkError(t, err, 6, "unknown parameter :b; none is declared")
}

func TestSectionsWithoutNamesHaveABody(t *testing.T) {
	t.Parallel()
	file, err := sqldef.Sections("-- tool: a()\n-- What it does.\n\nselect 1\n-- returns: one\n",
		sqldef.Layout{Keys: []string{"tool", "returns"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sqldef.Section{SQL: "select 1", Line: 4}, file.Body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if h, _, _ := file.Header("returns"); h.Value != "one" {
		t.Errorf("header below the SQL: got %v", h)
	}
}

func TestSectionsRefuse(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, text string
		line       int
		want       string
	}{
		{"unknown headers", "-- temporal: a()\n-- rechek: 5s", 2, `unknown header "rechek"; known are temporal, watch`},
		{"SQL before sections", "-- temporal: a()\nselect 1\n-- condition\nselect 2", 2, `"select" stands before the first section`},
		{"sections twice", "-- condition\nselect 1\n-- condition\nselect 2", 3, `section "condition" appears twice`},
		{"open literals", "-- condition\n\nselect 'a", 3, "never closed"},
		{"NUL", "\x00", 1, "NUL"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sqldef.Sections(c.text, temporalLayout())
			checkError(t, err, c.line, c.want)
		})
	}
}

func FuzzSections(f *testing.F) {
	f.Add(pickNextTask)
	f.Add("-- condition\n-- condition")
	f.Add("-- a: b\r\n/* -- condition")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := sqldef.Sections(text, temporalLayout())
		if err != nil {
			return
		}
		for _, s := range file.Sections {
			if _, err := s.Compile(nil); err == nil && s.SQL == "" {
				t.Fatalf("an empty section compiled in %q", text)
			}
		}
	})
}
