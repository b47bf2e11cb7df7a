-- A database in its fifth month: %[1]d jobs with twenty rows of history each, three fifths of them over, the others asleep.
select statek.ensure_partitions(statek.now() - interval '4 months', 8);

create unlogged table public.plenty as
select n, overlay((statek.uuid_at(statek.now() - n * (interval '120 days' / %[1]d)))::text placing lpad(to_hex(n), 12, '0') from 25)::uuid as id,
  statek.now() - n * (interval '120 days' / %[1]d) as at, n %% 5 as fate
from generate_series(1, %[1]d) n;

insert into statek.agents (prefix, role, version, hash, definition) values ('/plenty', 'plenty', 1, '', '{}');

insert into statek.jobs (id, prefix, agent_id, role, agent_version, source, tags, spec, created_at)
select p.id, '/plenty/t' || p.n %% 50, a.id, 'plenty', 1, 's' || p.n %% 7, case when p.n %% 10 = 0 then array['tag' || p.n %% 100] else '{}' end, '{}', p.at
from public.plenty p, statek.agents a where a.role = 'plenty' order by p.id;

insert into statek.job_state (job_id, status, outcome, core, seq, changed_at, blocked_on, wake_at, finished_at, result)
select p.id, case when p.fate < 3 then 'DONE' when p.n %% 1000 = 4 then 'PAUSED' else 'SUSPENDED' end,
  case when p.fate < 2 then 'succeeded' when p.fate = 2 then 'failed' end, '{"seq":20}', 20, p.at, case when p.fate > 2 then 'event' end,
  case when p.n %% 1000 = 4 then statek.now() + interval '1 day' end, case when p.fate < 3 then p.at + interval '1 minute' end, case when p.fate < 3 then '1'::json end
from public.plenty p order by p.id;

insert into statek.history (job_id, seq, kind, cell, call, at, payload)
select p.id, s, (array['cell_started', 'call_issued', 'call_settled', 'console', 'cell_ended'])[1 + s %% 5], 1 + s / 5, s %% 5, p.at, '{"lines":["something that was printed"]}'
from public.plenty p, generate_series(1, 20) s order by p.id, s;

insert into statek.variables (job_id, name, cell_from, cell_to, value, type, bytes)
select p.id, 'v' || v, v, case when v = 1 then 3 end, '"a value of a variable"', 'string', 23
from public.plenty p, generate_series(1, 3) v order by p.id;

insert into statek.usage (job_id, seq, at, provider, model)
select p.id, 2, p.at, 'p', 'm' from public.plenty p where p.n %% 3 = 0 order by p.id;

insert into statek.wait_groups (prefix, kind, name, args, hash, last_result, last_at)
select '/plenty', 'event', 'event', '["e"]', sha256(p.id::text::bytea), 'idle', p.at from public.plenty p where p.fate = 3;

insert into statek.wait_deps (dep, group_id)
select 'fact:/plenty:e' || g.id, g.id from statek.wait_groups g where g.prefix = '/plenty';

insert into statek.waits (job_id, cell, call, kind, name, group_id, since, created_at)
select p.id, 1, 1, 'event', 'event', g.id, p.at, p.at
from public.plenty p join statek.wait_groups g on g.hash = sha256(p.id::text::bytea);

insert into statek.waits (job_id, cell, call, kind, name, due_at, created_at)
select p.id, 1, 1, 'sleep', 'sleep', statek.now() + p.n * interval '1 hour', p.at from public.plenty p where p.fate = 4;

insert into statek.mailbox (job_id, kind, payload) select p.id, 'message', '"later"' from public.plenty p where p.fate = 4;

insert into statek.facts (prefix, name, key, payload) select '/plenty', 'n' || p.n %% 20, 'k' || p.n, '{}' from public.plenty p where p.n %% 10 = 1;
insert into statek.fact_deliveries (job_id, fact_id)
select p.id, f.id from statek.facts f join public.plenty p on f.key = 'k' || p.n;

insert into statek.approvals (job_id, cell, call, prefix, title, status)
select p.id, 1, 2, '/plenty', 't', case when p.fate = 4 then 'pending' else 'decided' end from public.plenty p where p.n %% 20 = 4 or p.n %% 20 = 1;

drop table public.plenty;
