package sqldef_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"statek/internal/sqldef"
)

func TestParseSignature(t *testing.T) {
	t.Parallel()
	got, err := sqldef.ParseSignature(` pickNextTask ( queue text,limit  int , price numeric(10, 2),
		at timestamp(3)  with time zone, ids uuid[][], p app."Prio",x double precision ) `)
	if err != nil {
		t.Fatal(err)
	}
	want := sqldef.Signature{Name: "pickNextTask", Params: []sqldef.Param{
		{Name: "queue", Type: "text"}, {Name: "limit", Type: "int"}, {Name: "price", Type: "numeric(10, 2)"},
		{Name: "at", Type: "timestamp(3) with time zone"}, {Name: "ids", Type: "uuid[][]"},
		{Name: "p", Type: `app."Prio"`}, {Name: "x", Type: "double precision"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none, err := sqldef.ParseSignature("now_()")
	if err != nil || none.Params == nil || len(none.Params) != 0 {
		t.Errorf("now_() = %v, %v; want an empty list", none, err)
	}
}

func TestParseSignatureRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                      "must look like",
		"pick":                  "must look like",
		"pick(queue text":       "must look like",
		"1pick()":               `name "1pick"`,
		"pick(queue)":           "must be a name and a type",
		"pick(queue text,)":     "must be a name and a type",
		"pick(a int, a int)":    "declared twice",
		"pick(a-b int)":         "parameter name",
		"pick(a int default 1)": "not the form of a type name",
		"pick(a int); drop(b)":  "not the form of a type name",
		"pick(a int))":          "not the form of a type name",
		"pick(a \"x\"\"y\")":    "not the form of a type name",
		"pick(a int -- b\n)":    "not the form of a type name",
	} {
		if _, err := sqldef.ParseSignature(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSignature(%q): got %v, want …%s…", text, err, want)
		}
	}
}

func TestTypeScript(t *testing.T) {
	t.Parallel()
	for pg, want := range map[string]string{
		"text": "string", "INT": "number", "bigint[]": "number[]", "numeric(10,2)": "number", "bool": "boolean",
		"jsonb": "any", "uuid[][]": "string[][]", "timestamp(3) with time zone": "string", "app.priority": "any",
		"double  precision": "number", "varchar(20) []": "string[]", "pg_catalog.int4": "number", "void": "void",
	} {
		if got := sqldef.TypeScript(pg); got != want {
			t.Errorf("TypeScript(%q) = %q, want %q", pg, got, want)
		}
	}
}

func FuzzParseSignature(f *testing.F) {
	f.Add("pick(queue text, n numeric(10,2))")
	f.Add(`a(b "c,d")`)
	f.Fuzz(func(t *testing.T, text string) {
		sig, err := sqldef.ParseSignature(text)
		if err != nil {
			return
		}
		// Whatever is accepted must be usable: types stand in SQL as they are.
		if _, err := sqldef.Compile("select 1", sig.Params); err != nil {
			t.Fatalf("ParseSignature(%q) accepts what Compile refuses: %v", text, err)
		}
		_ = sqldef.TypeScript(text)
	})
}
