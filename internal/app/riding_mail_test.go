package app_test

import (
	"encoding/json"
	"testing"
)

// TestTheEndOfAJobThatWasTold: what has waited for a message is over with the last call's commit, and its wait with it: also when that commit
// is refused and the end comes after it, and when somebody rings meanwhile.
func TestTheEndOfAJobThatWasTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ warmup, verdict, want string }{
		"alone":          {"const m = await message({timeout: '1h'})\nexit([m, await add() > 0])", "", `["hi",true]`},
		"in company":     {"const m = await message()\nexit([m, await addInCompany() > 0])", "", `["hi",true]`},
		"refused":        {"const m = await message({timeout: '1h'})\nlet n; try { n = await add() } catch (e) { n = e.code }\nexit([m, n])", "23514", `["hi","23514"]`},
		"refused, twice": {"const m = await message()\nlet n; try { n = await add() } catch (e) { n = await message() }\nexit([m, n])", "23514", `["hi","and"]`},
		"rung":           {"const m = await message()\nexit([m, await knock() > 0])", "", `["again",null]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := riding(t, files{"agents/a.warmup.js": c.warmup})
			k.replies["a.md"] = reply("```js\nexit(['again', null])\n```\n")
			if c.verdict != "" {
				k.exec("insert into app.verdicts values ($1)", c.verdict)
			}
			for n := 0; ; n++ {
				id := k.submit("a", nil).ID
				k.is("select status = 'SUSPENDED' and owner is null from statek.job_state where job_id = $1", id)
				k.must(k.SendMessage(t.Context(), id, json.RawMessage(`"hi"`), ""))
				if name == "refused, twice" {
					k.is("select status = 'SUSPENDED' and owner is null and (select count(*) = 2 from statek.history h where h.job_id = s.job_id and h.kind = 'suspended') from statek.job_state s where job_id = $1", id)
					k.must(k.SendMessage(t.Context(), id, json.RawMessage(`"and"`), ""))
				}
				k.is("select status in ('DONE', 'PAUSED') and owner is null and coalesce(result::text = $2, false) from statek.job_state where job_id = $1", id, c.want)
				k.is("select not exists (select from statek.waits where job_id = $1) and not exists (select from statek.mailbox where job_id = $1)", id)
				if k.single("select is_called::text from app.rides") == "true" {
					return
				}
				if n == 200 {
					t.Fatal("none of 200 jobs has ended with its last call, and this shows nothing")
				}
			}
		})
	}
}
