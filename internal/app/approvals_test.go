package app_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/app"
)

// asked submits a job whose warmup asks, and returns it with its question.
func (k *kit) asked(code string) (app.Job, app.Approval) {
	k.t.Helper()
	role := "q_" + uuid.NewString()[:8]
	k.apply(files{"agents/" + role + ".md": simpleAgent, "agents/" + role + ".warmup.js": code})
	job := k.submit(role, nil)
	k.until(job.ID, "SUSPENDED")
	page, err := k.Approvals(k.t.Context(), app.ApprovalFilter{Job: &job.ID})
	k.must(err)
	if len(page.Approvals) != 1 {
		k.dump(job.ID)
		k.t.Fatalf("%d questions, want 1", len(page.Approvals))
	}
	return job, page.Approvals[0]
}

func text(s string) *string { return &s }

// on is the kit for a subtest.
func (k *kit) on(t *testing.T) *kit {
	return &kit{App: k.App, t: t, url: k.url, pool: k.pool, reg: k.reg}
}

func TestApprovalsAreDecided(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		code     string
		decision app.Decision
		want     string // the job's result, without time
	}{
		"approve or reject": {
			`exit(await approval({title: 'Pay?'}))`, app.Decision{Option: text("approve"), Comment: text("fine")},
			`{"option":"approve","comment":"fine","by":"ada"}`,
		},
		"an option": {
			`exit(await approval({question: 'Which?', options: ['a', {value: 'b', label: 'B', description: 'the second'}]}))`,
			app.Decision{Option: text("b")}, `{"option":"b","by":"ada"}`,
		},
		"free text":            {`exit(await approval({title: 'Why?', freeText: true}))`, app.Decision{Text: text("because")}, `{"text":"because","by":"ada"}`},
		"proposed arguments":   {`exit(await approval({title: 'Pay?', args: {z: 1, a: 2.50}}))`, app.Decision{Option: text("approve")}, `{"option":"approve","args":{"z":1,"a":2.5},"by":"ada"}`},
		"a short form":         {`exit(await approval('Pay?'))`, app.Decision{Option: text("reject")}, `{"option":"reject","by":"ada"}`},
		"changed arguments":    {`exit(await approval({title: 'Pay?', args: {amount: 1}, schema: {properties: {amount: {type: 'integer', minimum: 1}}}}))`, app.Decision{Option: text("approve"), Args: json.RawMessage(`{"amount":7,"note":"\ud800"}`)}, ""},
		"exactly those bytes":  {`exit(await approval({title: 'Pay?', args: {amount: 1}}))`, app.Decision{Option: text("approve"), Args: json.RawMessage(`{"z":1.0,"a":{"b":[]}}`)}, `{"option":"approve","args":{"z":1,"a":{"b":[]}},"by":"ada"}`},
		"in the warmup of two": {`const [a, b] = await all(approval('Pay?'), sleep(1)); exit(a)`, app.Decision{Option: text("approve")}, `{"option":"approve","by":"ada"}`},
	}
	k := newKit(t, nil)
	k.work()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := k.on(t)
			job, q := k.asked(tc.code)
			if ex, err := k.Explain(t.Context(), job.ID); err != nil || !strings.HasPrefix(ex.Waits[0].Why, "a person: select statek.decide(") {
				t.Errorf("explained as %+v (%v)", ex.Waits, err)
			}
			k.await("SQL explains it", "select why like 'a person: select statek.decide(%' from statek.explain($1) where kind = 'approval'", job.ID)
			if q.Status != "pending" || q.JobID != job.ID || q.Prefix != "/acme" {
				t.Errorf("got %+v", q)
			}
			got, err := k.Decide(t.Context(), q.ID, tc.decision, "ada")
			if tc.want == "" {
				var refused *app.Error
				if !errors.As(err, &refused) || refused.Kind != app.KindInvalid {
					t.Errorf("got %v, want a refusal", err)
				}
				return
			}
			k.must(err)
			if got.Status != "decided" || got.DecidedBy != "ada" || got.EndedAt == nil {
				t.Errorf("got %+v", got)
			}
			if result := withoutTime(string(k.ended(job.ID).Result)); result != tc.want {
				t.Errorf("result = %s, want %s", result, tc.want)
			}
			_, err = k.Decide(t.Context(), q.ID, tc.decision, "eve")
			k.refused(err, app.KindConflict, "was decided by ada")
			if lines := k.timeline(job.ID); !strings.Contains(lines, `"by": "ada"`) {
				t.Errorf("history does not say who decided:\n%s", lines)
			}
		})
	}
}

func withoutTime(result string) string {
	i := strings.Index(result, `,"at":`)
	if i < 0 {
		return result
	}
	return result[:i] + "}"
}

// refused checks a refusal's kind and text.
func (k *kit) refused(err error, kind app.ErrorKind, text string) {
	k.t.Helper()
	var refused *app.Error
	if !errors.As(err, &refused) || refused.Kind != kind || !strings.Contains(refused.Error(), text) {
		k.t.Errorf("got %v, want %s: … %s …", err, kind, text)
	}
}

func (k *kit) timeline(id uuid.UUID) string {
	k.t.Helper()
	rows, err := k.History(k.t.Context(), id, 0, 0)
	k.must(err)
	var lines []string
	for _, r := range rows {
		lines = append(lines, r.Text)
	}
	return strings.Join(lines, "\n")
}

func TestDecisionsAreChecked(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	_, options := k.asked(`await approval({title: 'Which?', options: ['a', 'b']})`)
	_, words := k.asked(`await approval({title: 'Why?', freeText: true})`)
	_, args := k.asked(`await approval({title: 'Pay?', args: {amount: 1}, schema: {
		type: 'object', required: ['amount'], additionalProperties: false, properties: {
			amount: {type: 'number', minimum: 1, maximum: 100}, who: {enum: ['ada', 'bob']}, tags: {type: 'array', maxItems: 2, items: {type: 'string', minLength: 2}},
			when: {type: ['string', 'null']}, n: {type: 'integer'}, x: {const: 5}, where: {enum: [{city: 'Rome', zip: 1}, [1, 2]]}}}})`)
	_, free := k.asked(`await approval({title: 'Pay?', args: 1})`)
	ok := text("approve")
	for _, tc := range []struct {
		q        app.Approval
		decision app.Decision
		by       string
		field    string
		message  string
	}{
		{options, app.Decision{}, "ada", "option", "is missing; it must be one of a, b"},
		{options, app.Decision{Option: text("c")}, "ada", "option", `must be one of a, b, got "c"`},
		{options, app.Decision{Option: text("a"), Text: text("x")}, "ada", "text", "is not allowed here"},
		{options, app.Decision{Option: text("a"), Args: json.RawMessage(`1`)}, "ada", "args", "no arguments were proposed"},
		{options, app.Decision{Option: text("a")}, "", "by", "must say who decides"},
		{options, app.Decision{Option: text("a"), Comment: text("a\x00b")}, "ada", "", "cannot be stored"},
		{free, app.Decision{Option: ok, Args: json.RawMessage(`"` + strings.Repeat("x", 262100) + `"`)}, "ada", "args", "are too large: the answer has 262"},
		{words, app.Decision{}, "ada", "text", "is missing"},
		{words, app.Decision{Option: text("a")}, "ada", "option", "must be one of none"},
		{words, app.Decision{Text: text("")}, "ada", "text", "1 to 20,000 characters"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`[]`)}, "ada", "args", "must be of type object, got array"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{}`)}, "ada", "args.amount", "is missing"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":0.5}`)}, "ada", "args.amount", "must be at least 1, got 0.5"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":101}`)}, "ada", "args.amount", "must be at most 100"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"to":"eve"}`)}, "ada", "args.to", "is not allowed"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"who":"eve"}`)}, "ada", "args.who", `must be one of ["ada", "bob"]`},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"where":{"city":"Rome"}}`)}, "ada", "args.where", `must be one of [{"zip": 1, "city": "Rome"}, [1, 2]]`},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"where":[2]}`)}, "ada", "args.where", "must be one of"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"tags":["ab","c"]}`)}, "ada", "args.tags[1]", "at least 2 characters"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"tags":["ab","cd","ef"]}`)}, "ada", "args.tags", "at most 2 items"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"when":1}`)}, "ada", "args.when", "string or null, got number"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"n":1.5}`)}, "ada", "args.n", "must be of type integer"},
		{args, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"x":6}`)}, "ada", "args.x", "must be 5"},
	} {
		_, err := k.Decide(t.Context(), tc.q.ID, tc.decision, tc.by)
		k.refused(err, app.KindInvalid, tc.message)
		var refused *app.Error
		if errors.As(err, &refused) && tc.field != "" && (len(refused.Fields) != 1 || refused.Fields[0].Field != tc.field) {
			t.Errorf("%v: fields %+v, want %s", err, refused.Fields, tc.field)
		}
	}
	_, err := k.Decide(t.Context(), args.ID, app.Decision{Option: ok, Args: json.RawMessage(`{"amount":5,"who":"bob","tags":[],"when":null,"n":1.0,"x":5,"where":{"zip":1,"city":"Rome"}}`)}, "ada")
	k.must(err)
	_, err = k.Decide(t.Context(), uuid.New(), app.Decision{Option: ok}, "ada")
	k.refused(err, app.KindNotFound, "no such approval")
}

func TestApprovalsAreOver(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	job, q := k.asked(`try { await approval({title: 'Pay?', expires: 400}) } catch (e) { exit([e.name, e.code]) }`)
	if got := k.ended(job.ID); string(got.Result) != `["TimeoutError","timeout"]` {
		t.Errorf("result = %s (%s)", got.Result, got.Error)
	}
	_, err := k.Decide(t.Context(), q.ID, app.Decision{Option: text("approve")}, "ada")
	k.refused(err, app.KindGone, "expired")

	job, q = k.asked(`await approval('Pay?')`)
	k.must(k.Cancel(t.Context(), job.ID, "not needed"))
	k.ended(job.ID)
	_, err = k.Decide(t.Context(), q.ID, app.Decision{Option: text("approve")}, "ada")
	k.refused(err, app.KindGone, "withdrawn")

	job, q = k.asked(`exit(await first(approval('Pay?'), event('paid')))`)
	_, _, err = k.Emit(t.Context(), "/acme", "paid", "", json.RawMessage(`"by card"`))
	k.must(err)
	if got := k.ended(job.ID); string(got.Result) != `"by card"` {
		t.Errorf("result = %s (%s)", got.Result, got.Error)
	}
	_, err = k.Decide(t.Context(), q.ID, app.Decision{Option: text("approve")}, "ada")
	k.refused(err, app.KindGone, "withdrawn")
}

func TestWrongQuestionsAreTypeErrors(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	for call, want := range map[string]string{
		`approval()`:                                           "called with 0 arguments",
		`approval({})`:                                         "title is missing",
		`approval({title: ''})`:                                "1 to 2000 characters",
		`approval({title: 'x', question: 'y'})`:                "give one of them",
		`approval({title: 'x', option: []})`:                   `unknown field "option"`,
		`approval({title: 'x', options: []})`:                  "list of 1 to 50",
		`approval({title: 'x', options: ['a', 'a']})`:          "twice",
		`approval({title: 'x', options: [{label: 'a'}]})`:      "needs a value",
		`approval({title: 'x', schema: {}})`:                   "args, which are missing",
		`approval({title: 'x', args: 1, schema: {anyOf: []}})`: "schema.anyOf is not supported here",
		`approval({title: 'x', args: 1, schema: {properties: {a: {type: 'decimal'}}}})`: "schema.properties.a.type must be one of",
		`approval({title: 'x', timeout: -1})`:                                           "must not be negative",
		`job('x')`:                                                                      "id must be the id of a job",
		`job('00000000-0000-0000-0000-000000000000')`:                                   "there is no job 00000000",
	} {
		role := "q_" + uuid.NewString()[:8]
		k.apply(files{"agents/" + role + ".md": simpleAgent, "agents/" + role + ".warmup.js": "try { await " + call + " } catch (e) { exit(e.name + ': ' + e.message) }"})
		job := k.ended(k.submit(role, nil).ID)
		if got := string(job.Result); !strings.Contains(got, "TypeError") && !strings.Contains(got, "NotFoundError") || !strings.Contains(strings.ReplaceAll(got, `\"`, `"`), want) {
			k.dump(job.ID)
			t.Errorf("%s: %s, want … %s …", call, got, want)
		}
	}
}

func TestLinksAnswerOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	other, err := app.Open(t.Context(), app.Config{DatabaseURL: k.url, MaxConns: 2, LinkKey: []byte(strings.Repeat("k", 32))})
	k.must(err)
	t.Cleanup(other.Close)
	k.work()
	job, q := k.asked(`exit(await approval({title: 'Pay?', assignee: 'ada'}))`)
	if _, err := k.ApprovalLink(t.Context(), q.ID, 0); err == nil {
		t.Error("an API without a key made a link")
	}
	link, err := other.ApprovalLink(t.Context(), q.ID, time.Hour)
	k.must(err)
	seen, err := other.ApprovalByLink(t.Context(), link.Token)
	if err != nil || cmp.Diff(q, seen) != "" {
		t.Errorf("the link shows %+v (%v), want the question", seen, err)
	}
	for what, token := range map[string]string{"nothing": "", "a changed token": link.Token[:10] + "x" + link.Token[11:], "a short token": link.Token[:40]} {
		_, err := other.ApprovalByLink(t.Context(), token)
		k := *k
		k.t = t
		t.Log(what)
		k.refused(err, app.KindNotFound, "not valid")
	}
	_, err = k.ApprovalByLink(t.Context(), link.Token)
	k.refused(err, app.KindNotFound, "not valid")
	_, err = other.DecideByLink(t.Context(), link.Token, app.Decision{})
	k.refused(err, app.KindInvalid, "option")
	_, err = other.DecideByLink(t.Context(), link.Token, app.Decision{Option: text("approve")})
	k.must(err)
	if got := withoutTime(string(k.ended(job.ID).Result)); got != `{"option":"approve","by":"ada (link)"}` {
		t.Errorf("result = %s", got)
	}
	_, open := k.asked(`await approval({title: 'Pay?'})`)
	short, err := other.ApprovalLink(t.Context(), open.ID, time.Second)
	k.must(err)
	k.await("the link is over", "select clock_timestamp() >= $1", short.ExpiresAt)
	_, err = other.DecideByLink(t.Context(), short.Token, app.Decision{Option: text("approve")})
	k.refused(err, app.KindGone, "this link expired at")
	_, err = other.DecideByLink(t.Context(), link.Token, app.Decision{Option: text("reject")})
	k.refused(err, app.KindGone, "was answered by ada (link)")
	_, err = other.ApprovalLink(t.Context(), q.ID, 0)
	k.refused(err, app.KindGone, "was answered")
	_, err = app.Open(t.Context(), app.Config{DatabaseURL: k.url, LinkKey: []byte("short")})
	k.refused(err, app.KindInvalid, "at least 32 bytes")
}

func TestApprovalsArePaged(t *testing.T) {
	t.Parallel()
	k := newKit(t, nil)
	k.work()
	var want []uuid.UUID
	for range 3 {
		_, q := k.asked(`await approval({title: 'Pay?', assignee: 'ada'})`)
		want = append([]uuid.UUID{q.ID}, want...)
	}
	k.asked(`await approval({title: 'Pay?', assignee: 'bob'})`)
	var got []uuid.UUID
	f := app.ApprovalFilter{Status: "pending", Assignee: "ada", Prefix: "/acme", Limit: 2}
	for pages := 0; pages < 2; pages++ {
		page, err := k.Approvals(t.Context(), f)
		k.must(err)
		for _, q := range page.Approvals {
			got = append(got, q.ID)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	for _, f := range []app.ApprovalFilter{{Prefix: "/acm"}, {Status: "decided"}, {Assignee: "eve"}} {
		if page, err := k.Approvals(t.Context(), f); err != nil || len(page.Approvals) > 0 {
			t.Errorf("%+v: %d approvals (%v), want none", f, len(page.Approvals), err)
		}
	}
	_, err := k.Approvals(t.Context(), app.ApprovalFilter{Status: "open"})
	k.refused(err, app.KindInvalid, "pending, decided")
	_, err = k.Approvals(t.Context(), app.ApprovalFilter{Cursor: "x"})
	k.refused(err, app.KindInvalid, "cursor")
}
