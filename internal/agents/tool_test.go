package agents_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"statek/internal/agents"
	"statek/internal/sqldef"
)

const setPriority = `-- tool: setPriority(ticket bigint, priority text)
-- Sets a ticket's priority.
-- returns: none
-- timeout: 5s

update app.tickets set priority = :priority, by = :job_id where id = :ticket;
`

func TestSQLToolFile(t *testing.T) {
	t.Parallel()
	got, err := agents.ParseTool("tools/setPriority.sql", setPriority)
	if err != nil {
		t.Fatal(err)
	}
	want := agents.Tool{
		Name: "setPriority", Kind: agents.SQLTool, Description: "Sets a ticket's priority.",
		Params: []agents.Param{{Name: "ticket", Type: "number"}, {Name: "priority", Type: "string"}},
		SQL: &agents.SQLCall{
			Text:    "update app.tickets set priority = $1::text, by = $2::uuid where id = $3::bigint",
			Args:    []string{"priority", "job_id", "ticket"},
			Params:  []sqldef.Param{{Name: "ticket", Type: "bigint"}, {Name: "priority", Type: "text"}},
			Line:    6,
			Returns: agents.ReturnsNone,
		},
		Timeout: "5s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Limit() != 5*time.Second {
		t.Errorf("limit is %s", got.Limit())
	}
	const declared = "/** Sets a ticket's priority. */\n" +
		"declare function setPriority(ticket: number, priority: string): Promise<number>;"
	if diff := cmp.Diff(declared, agents.Declare(got)); diff != "" {
		t.Errorf("declaration (-want +got):\n%s", diff)
	}
}

const notify = `description: |
  Tells a person.
  Costs money */.
method: post
url: https://${NOTIFY_HOST}/v1/{channel}/send?who={to}
headers:
  Authorization: Bearer ${NOTIFY_TOKEN}
input:
  type: object
  required: [to, text]
  additionalProperties: false
  properties:
    channel: {enum: [mail, sms]}
    to: {type: string, minLength: 1}
    text: {type: string}
    extra: {type: object, properties: {n: {type: [integer, "null"]}, tags: {type: array, items: {type: string}}}, required: [n]}
output: {type: object, properties: {"message id": {type: string}}}
timeout: 1m
once: true
`

func TestHTTPToolFile(t *testing.T) {
	t.Parallel()
	got, err := agents.ParseTool("tools/notify.http.yaml", notify)
	if err != nil {
		t.Fatal(err)
	}
	wantParams := []agents.Param{
		{Name: "to", Type: "string"}, {Name: "text", Type: "string"},
		{Name: "channel", Type: `"mail" | "sms"`, Optional: true},
		{Name: "extra", Type: "{ n: number | null; tags?: string[] }", Optional: true},
	}
	if diff := cmp.Diff(wantParams, got.Params); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	wantCall := &agents.HTTPCall{
		Method: "POST", URL: "https://${NOTIFY_HOST}/v1/{channel}/send?who={to}", Body: agents.BodyJSON,
		Headers: map[string]string{"Authorization": "Bearer ${NOTIFY_TOKEN}"},
	}
	if diff := cmp.Diff(wantCall, got.HTTP); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
	if !got.Once || got.Limit() != time.Minute || !json.Valid(got.Input) {
		t.Errorf("got %+v", got)
	}
	const declared = "/**\n * Tells a person.\n * Costs money * /.\n */\ndeclare function notify(to: string, text: string, " +
		`channel?: "mail" | "sms", extra?: { n: number | null; tags?: string[] }): Promise<{ "message id"?: string }>;`
	if diff := cmp.Diff(declared, agents.Declare(got)); diff != "" {
		t.Errorf("declaration (-want +got):\n%s", diff)
	}
}

func TestToolFileErrorsNameFileAndLine(t *testing.T) {
	t.Parallel()
	const get = "url: https://h/{id}\nparams: [{name: id, type: string}]\n"
	cases := []struct {
		name, file, text string
		line             int
		want             string
	}{
		{"not a tool", "a.txt", "", 1, "a tool is a file such as"},
		{"no header", "a.sql", "select 1", 1, `"-- tool: a(param type)" is missing`},
		{"other name", "a.sql", "\n-- tool: b()\nselect 1", 2, "must have its file's name"},
		{"signature", "a.sql", "-- tool: a(x)\nselect 1", 1, "must be a name and a type"},
		{"unknown parameter", "a.sql", "-- tool: a(x int)\n\nselect\n :y", 4, "unknown parameter :y; declared are :job_id, :prefix, :x"},
		{"no statement", "a.sql", "-- tool: a()\n", 1, "no statement"},
		{"returns", "a.sql", "-- tool: a()\n-- returns: some\nselect 1", 2, "returns must be many, one, value or none"},
		{"returns twice", "a.sql", "-- tool: a()\n-- returns: one\n-- returns: one\nselect 1", 3, "appears twice"},
		{"timeout", "a.sql", "-- tool: a()\n-- timeout: 5\nselect 1", 2, "timeout must be a duration"},
		{"header", "a.sql", "-- tool: a()\n-- retruns: one\nselect 1", 2, `unknown header "retruns"`},
		{"built-in name", "print.sql", "-- tool: print()\nselect 1", 1, "taken by a built-in"},
		{"reserved word", "delete.sql", "-- tool: delete()\nselect 1", 1, "reserved word"},
		{"reserved parameter", "a.sql", "-- tool: a(default text)\nselect 1", 1, `"default" is a reserved word`},
		{"unknown key", "a.http.yaml", get + "metod: GET\n", 3, `"metod"`},
		{"yaml", "a.http.yaml", get + "headers: [\n", 3, ""},
		{"method", "a.http.yaml", get + "method: FETCH\n", 3, "method must be GET"},
		{"body", "a.http.yaml", get + "body: json\n", 3, "body cannot be json for GET"},
		{"scheme", "a.http.yaml", "url: file:///etc/passwd\n", 1, "url must start with https://"},
		{"host by argument", "a.http.yaml", "params: [{name: h}]\nurl: https://{h}/\n", 2, "url host: {h} is no parameter"},
		{"credentials", "a.http.yaml", "url: https://u:p@h/\n", 1, "no user or password"},
		{"environment in the path", "a.http.yaml", "url: https://h/${KEY}\n", 1, "${KEY} cannot be read here"},
		{"unknown placeholder", "a.http.yaml", "url: https://h/{x}\n", 1, "{x} is no parameter"},
		{"header line break", "a.http.yaml", get + "headers: {X: \"a\\nb\"}\n", 3, "holds a line break"},
		{"owned header", "a.http.yaml", get + "headers: {Idempotency-Key: x}\n", 3, `cannot set "Idempotency-Key"`},
		{"schema", "a.http.yaml", "url: https://h/\ninput: {type: objekt}\n", 2, "input schema"},
		{"remote schema", "a.http.yaml", "url: https://h/\ninput: {$ref: \"https://example.com/s.json\"}\n", 2, "outside the schema"},
		{"file schema", "a.http.yaml", "url: https://h/\noutput: {$ref: \"file:///etc/passwd\"}\n", 2, "outside the schema"},
		{"input name", "a.http.yaml", "url: https://h/\ninput: {properties: {a-b: {}}}\n", 1, `name "a-b"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := agents.ParseTool("tools/"+c.file, c.text)
			var fe *agents.FileError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, want a *FileError", err)
			}
			if fe.File != "tools/"+c.file || fe.Line != c.line || !strings.Contains(fe.Msg, c.want) {
				t.Errorf("got %q, want line %d: …%s…", fe, c.line, c.want)
			}
		})
	}
}

func TestWaitsAreDeclaredWithATimeout(t *testing.T) {
	t.Parallel()
	got := agents.DeclareWait("pickNextTask", []sqldef.Param{{Name: "queue", Type: "text"}}, "The next task.")
	want := "/** The next task. */\ndeclare function pickNextTask(queue: string, options?: { timeout?: number | string }): Promise<any>;"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestYAMLAliasesCannotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	text := "url: https://h/\ninput:\n  $defs:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 6 {
		alias := "*a" + string(rune('0'+i))
		text += "    a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat(alias+", ", 9) + alias + "]\n"
	}
	if _, err := agents.ParseTool("a.http.yaml", text); err == nil || !strings.Contains(err.Error(), "bytes of JSON") {
		t.Errorf("got %v", err)
	}
}

func FuzzParseTool(f *testing.F) {
	f.Add("a.sql", setPriority)
	f.Add("a.http.yaml", notify)
	f.Fuzz(func(t *testing.T, file, text string) {
		tool, err := agents.ParseTool(file, text)
		if err != nil {
			var fe *agents.FileError
			if !errors.As(err, &fe) || fe.Line < 1 {
				t.Fatalf("error %v has no place", err)
			}
			return
		}
		if err := tool.Validate(); err != nil {
			t.Fatalf("parsed but not valid: %v", err)
		}
		_ = agents.Declare(tool)
	})
}
