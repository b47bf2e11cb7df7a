-- The line is dissolved: parked jobs are free to be claimed.
drop function statek.claim_jobs(uuid[], boolean[], uuid);
-- Takes jobs for a worker. Free, or held by a worker that is dead or gone, or by this very worker that no longer
-- runs it (_held false): the epoch goes up and the job is the caller's. Otherwise the owner is told through rung. No
-- row: no such job, or one of several is locked by somebody: the others do not wait for it, and the caller asks for it
-- alone. What the claimer then reads (history, mailbox) it must read in a later statement: this one's snapshot is older
-- than the locks it waited for.
create function statek.claim_jobs(_jobs uuid[], _held boolean[], _worker uuid)
  returns table (job uuid, claimed boolean, epoch bigint, previous uuid)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
declare
  locked uuid[];
begin
  if cardinality(_jobs) = 1 then
    select array_agg(js.job_id) into locked
    from (select s.job_id from statek.job_state s where s.job_id = _jobs[1] for no key update) js;
  else
    select array_agg(js.job_id) into locked
    from (select s.job_id from statek.job_state s where s.job_id = any(_jobs) order by s.job_id for no key update skip locked) js;
  end if;
  return query
    with fate as materialized (
      select js.job_id, js.owner, coalesce(js.owner, js.taken_from) as previous, js.epoch,
        js.owner is null or w.id is null or w.dead_at is not null or js.owner = _worker and not a.held as free
      from unnest(_jobs, _held) as a(job_id, held)
      join statek.job_state js on js.job_id = a.job_id and js.job_id = any(locked)
      left join statek.workers w on w.id = js.owner
    ), taken as (
      update statek.job_state js
      set epoch = js.epoch + 1, owner = _worker, taken_from = null, rung = false
      where js.job_id = any(array(select f.job_id from fate f where f.free))
      returning js.job_id, js.epoch
    ), told as (
      update statek.job_state js
      set rung = true
      where js.job_id = any(array(select f.job_id from fate f where not f.free)) and not js.rung
    )
    select f.job_id, f.free, coalesce(t.epoch, f.epoch), f.previous
    from fate f left join taken t on t.job_id = f.job_id;
end $$;
comment on function statek.claim_jobs(uuid[], boolean[], uuid) is
  'For workers: takes jobs that are free or whose owner is dead; else marks them rung for their owners.';

create or replace view statek.job_overview as
select j.id, j.prefix::text as prefix, j.role as agent, j.agent_version as version, s.status, s.outcome,
  s.blocked_on, s.blocked_why, j.created_at as created, s.changed_at as changed, j.finished_at as finished, s.wake_at,
  coalesce((c.core ->> 'cells')::integer, 0) as cells,
  coalesce((c.core ->> 'turns')::integer, 0) as turns,
  coalesce((c.core ->> 'completions')::integer, 0) as completions,
  (select count(*) from statek.mailbox m where m.job_id = j.id) as mail,
  j.error, statek.readable(j.result) as result, j.tags, j.source, j.locale, j.key, j.priority, j.parent_id as parent,
  s.parked_on, s.owner as worker, w.host || ':' || w.pid as worker_host
from statek.jobs j
join statek.job_state s on s.job_id = j.id
cross join lateral (select statek.readable(s.core)) c(core)
left join statek.workers w on w.id = s.owner;

create or replace view statek.blocked_jobs as
select j.id, j.prefix::text as prefix, j.role as agent, s.status,
  coalesce(s.blocked_on, s.parked_on) as blocked_on,
  coalesce(s.blocked_why, 'waits until ' || s.parked_on || ' is below its limit') as blocked_why,
  s.changed_at as since, statek.now() - s.changed_at as age,
  least(s.wake_at, w.due) as wakes, coalesce(w.waits, 0) as waits, w.error as last_error
from statek.job_state s
join statek.jobs j on j.id = s.job_id
left join lateral (
  select count(*) as waits, min(w.due_at) as due, string_agg(distinct w.name || ': ' || g.last_error, '; ') as error
  from statek.waits w left join statek.wait_groups g on g.id = w.group_id
  where w.job_id = s.job_id
) w on true
where s.status in ('READY', 'SUSPENDED', 'PAUSED', 'STARTED', 'WARMING_UP') and s.owner is null
  and (s.blocked_on is not null or s.parked_on is not null or s.status in ('SUSPENDED', 'PAUSED'));

create or replace function statek.explain(_job uuid)
  returns table (call integer, name text, kind text, why text, since timestamptz, due timestamptz, deps text[],
    last_result text, last_error text, last_at timestamptz, next_look timestamptz, touched text, touched_at timestamptz, touches bigint, cell integer)
  language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  o statek.job_overview;
begin
  select * into o from statek.job_overview v where v.id = _job;
  if o.id is null then
    raise exception 'there is no job %', coalesce(_job::text, 'null') using errcode = 'ST404', hint = 'select id from statek.job_overview';
  end if;
  return query select null::integer, o.agent, o.status,
    case
      when o.status = 'DONE' and o.outcome = 'succeeded' then 'it has succeeded; a message reopens it'
      when o.status = 'DONE' then concat('it was ', replace(o.outcome, 'failed', 'ended by a failure'), ': ' || o.error,
        format('; to reopen it: select statek.resume_job(%L)', _job))
      when o.status = 'PAUSED' then concat(coalesce(o.blocked_why, 'it is paused'), format('; to continue it: select statek.resume_job(%L)', _job))
      when o.worker is not null then 'worker ' || coalesce(o.worker_host, 'unknown') || ' is running it'
      when o.parked_on is not null then 'it waits until ' || o.parked_on || ' is below its limit'
      else coalesce(o.blocked_why, 'it waits for a free worker')
    end || case when o.mail > 0 then '; ' || o.mail || ' mailbox rows are waiting for it' else '' end,
    o.changed, o.wake_at, '{}'::text[], null::text, null::text, null::timestamptz, null::timestamptz, null::text, null::timestamptz, null::bigint, null::integer;
  return query
    select w.call, w.name, w.kind, statek.wait_waker(_job, w.kind, o.prefix, w.due_at, d.deps, g.recheck)
      || case g.last_result
        when 'failed' then '; its SQL failed and is tried again at ' || coalesce(g.retry_at::text, 'once') || ', whatever is written until then'
        when 'contended' then '; it is ready, but others hold locks on what it would take: it is looked at again at ' || coalesce(g.retry_at::text, 'once')
        else ''
      end,
      w.created_at, w.due_at, coalesce(d.deps, '{}'), g.last_result, g.last_error, g.last_at, g.retry_at,
      statek.dep_text(g.touched_dep), g.touched_at, g.touches, w.cell
    from statek.waits w
    left join statek.wait_groups g on g.id = w.group_id
    left join lateral (select array_agg(x.dep order by x.dep) as deps from statek.wait_deps x where x.group_id = w.group_id) d on true
    where w.job_id = _job
    order by w.cell, w.call;
end $$;

create or replace function statek.wake(_jobs uuid[]) returns void
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
declare
  taker uuid := nullif(current_setting('statek.taker', true), '')::uuid;
  took uuid[];
begin
  -- More than a few are for all workers. Rows that somebody holds are not waited for.
  if taker is not null and cardinality(_jobs) <= 4 then
    with free as materialized (
      select js.job_id
      from statek.job_state js
      where js.job_id = any(_jobs) and js.owner is null and js.parked_on is null and js.status = 'SUSPENDED'
      order by js.job_id
      for no key update skip locked
    ), taken as (
      update statek.job_state js
      set epoch = js.epoch + 1, owner = taker, taken_from = null, rung = false
      where js.job_id = any(array(select f.job_id from free f))
      returning js.job_id
    )
    select array_agg(t.job_id) into took from taken t;
  end if;
  if took is not null then
    perform set_config('statek.taken', concat_ws(',', nullif(current_setting('statek.taken', true), ''), array_to_string(took, ',')), true);
    _jobs := array(select u.id from unnest(_jobs) as u(id) where u.id <> all(took));
  end if;
  if cardinality(_jobs) > 0 then
    perform statek.ring(_jobs, false);
  end if;
end $$;

update statek.job_state set parked_on = null where parked_on is not null;
drop function statek.parked_why(text);
drop function statek.set_prefix_limit(text, integer);
drop function statek.set_limit(text, text, integer);
drop function statek.sweep_seats();
drop function statek.vacate(uuid);
drop function statek.seat_jobs(uuid[]);
drop function statek.call_parked(text);
drop function statek.seats_taken(text, uuid, uuid[], boolean);
drop function statek.limits_of(uuid[]);
drop function statek.ancestors(text);
drop function statek.limit_key(text, text);
drop function statek.called_for();
drop table statek.turns;
drop table statek.parked;
drop table statek.seats;
drop table statek.limits;
