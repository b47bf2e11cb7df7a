package e2e

import (
	"testing"
	"time"
)

// TestRiot: jobs move money between rows through transactional tools and pay out through external ones, while workers
// are killed, frozen (also inside a tool's transaction) and cut off, replies to commits are lost, sessions are ended,
// APIs are killed and the database goes away. All jobs end, no call that is recorded has happened twice or not at
// all, and the books balance. It is not parallel: it takes the whole machine.
func TestRiot(t *testing.T) {
	seed := uint64(number(t, "CRASH_SEED", int(time.Now().UnixNano()%1e9)))
	count, seconds := number(t, "CRASH_JOBS", 60), number(t, "CRASH_SECONDS", 14)
	t.Logf("CRASH_SEED=%d CRASH_JOBS=%d CRASH_SECONDS=%d", seed, count, seconds)
	r := newRiot(t, seed)
	outage, steps := 5*time.Second, 8
	if seconds >= 120 {
		outage, steps = 30*time.Second, 12
	}
	half := time.Duration(seconds) * time.Second / 2
	part := count / 5
	r.rage(half, 2*part, steps)
	r.takeAway(outage, part, steps)
	r.rage(half, count-3*part, steps)
	r.end(count)
	r.check()
	r.report(seconds)
}

// riotSchema is the application's money: accounts, and what was moved between them.
const riotSchema = `
create table app.accounts (id integer primary key, balance bigint not null);
insert into app.accounts select i, 1000 from generate_series(1, 40) i;
create table app.moves (id bigint generated always as identity primary key, job_id uuid not null, step integer not null,
  payer integer not null, payee integer not null, amount integer not null);
create function app.move() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform from app.accounts where id in (new.payer, new.payee) order by id for no key update;
  update app.accounts set balance = balance - new.amount where id = new.payer;
  update app.accounts set balance = balance + new.amount where id = new.payee;
  return null;
end $$;
create trigger move after insert on app.moves for each row execute function app.move();
grant insert, select on app.moves to statek_tool`

// riotCell moves money within and pays money outside, and gives up nothing that only says "try again".
const riotCell = `async function sure(call) {
  for (;;) {
    try { return await call() } catch (e) {
      if (!['SQLError', 'NetworkError', 'HTTPError', 'TimeoutError'].includes(e.name)) throw e
      print('again: ' + e.name + ' ' + e.message)
      await sleep(100)
    }
  }
}
// ----------
let paid = 0, moved = 0
const pick = (n) => 1 + Math.floor(Math.random() * n)
// ----------
for (let i = 0; i < steps; i++) {
  const payer = pick(40), amount = pick(9)
  await sure(() => move(i, payer, payer % 40 + 1, amount))
  moved++
  if (i % 2) paid += Number((await sure(() => charge(amount))).receipt.slice(1))
  if (i % 3 === 2) await sleep(pick(300))
}
// ----------
const [last, also] = await Promise.all([sure(() => move(steps, 1, 2, 1)), sure(() => charge(1))])
moved++
paid += 1
exit({moved, paid})
`

func riotFiles() files {
	return ledger(files{
		"agents/payer.md": modelAgent, "agents/payer.warmup.js": riotCell,
		"tools/move.sql": "-- tool: move(step integer, payer integer, payee integer, amount integer)\n-- Moves money.\n-- returns: value\n" +
			"insert into app.moves (job_id, step, payer, payee, amount) values (:job_id, :step, :payer, :payee, :amount) returning id\n",
	})
}
