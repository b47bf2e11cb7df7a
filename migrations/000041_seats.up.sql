-- Limits of how many jobs of an agent or of a prefix run at once, over all workers. A job that is claimed over a limit is
-- parked; whoever leaves its seat calls the next one. Nothing here costs anything while there is no limit.

-- Lock order: rows of job_state (by id), then of limits (by key), then of seats and parked. Whoever decides about a key
-- holds its row of limits and looks in a later statement: claims park, and leavers look for the parked, one after the other.
create table statek.limits (
  key    text primary key, -- 'agent triage at /acme', 'prefix /acme'
  prefix statek.prefix_path not null,
  role   text,             -- null: of all jobs at the prefix and below
  most   integer not null check (most between 1 and 1000000)
);
comment on table statek.limits is 'How many jobs run at once. statek.set_prefix_limit and the CONCURRENCY line of agents write it.';

-- Jobs that run under a limit. A row counts while its job has an owner; so a takeover frees the seat by itself, and what is
-- left behind is swept.
create table statek.seats (
  key    text not null,
  job_id uuid not null references statek.job_state(job_id) on delete cascade,
  prefix text not null,
  primary key (key, job_id)
);
create index seats_job on statek.seats (job_id);

create table statek.parked (
  job_id    uuid primary key references statek.job_state(job_id) on delete cascade,
  key       text not null,
  prefix    text not null,
  priority  smallint not null,
  since     timestamptz not null default clock_timestamp(),
  called_at timestamptz -- its seat is kept for it for a while; null: it waits
);
create index parked_line on statek.parked (key, prefix, priority, since) where called_at is null;
create index parked_called on statek.parked (key) where called_at is not null;

-- When a prefix was last called to a key: those that run equally many take turns.
create table statek.turns (
  key    text not null,
  prefix text not null,
  at     timestamptz not null,
  primary key (key, prefix)
);

-- How long a seat is kept for a job that was called: longer than a doorbell takes, short enough when it was lost.
create function statek.called_for() returns interval language sql immutable parallel safe return interval '10 seconds';

create function statek.limit_key(_prefix text, _role text default null) returns text
  language sql immutable parallel safe
  return case when _role is null then 'prefix ' || _prefix else 'agent ' || _role || ' at ' || _prefix end;

-- The path and all above it.
create function statek.ancestors(_path text) returns text[]
  language sql immutable strict parallel safe
  return '{/}'::text[] || array(
    select array_to_string((string_to_array(_path, '/'))[1:n], '/')
    from generate_series(2, cardinality(string_to_array(_path, '/'))) n where _path <> '/');

-- The limits that jobs are under.
create function statek.limits_of(_jobs uuid[])
  returns table (job uuid, key text)
  language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select j.id, l.key
  from statek.jobs j
  join statek.agents a on a.id = j.agent_id
  cross join lateral (
    select statek.limit_key(a.prefix, j.role) as key
    union all
    select statek.limit_key(p.path) from unnest(statek.ancestors(j.prefix)) as p(path)
  ) k
  join statek.limits l on l.key = k.key
  where j.id = any(_jobs)
$$;

-- Seats of a key that are taken or, with _kept, kept for who was called, but for one job's own; _also are about to run.
create function statek.seats_taken(_key text, _but uuid default null, _also uuid[] default '{}', _kept boolean default true) returns integer
  language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select (
    (select count(*) from statek.seats s join statek.job_state js on js.job_id = s.job_id
      where s.key = _key and s.job_id is distinct from _but and (js.owner is not null or s.job_id = any(_also)))
    + (select count(*) from statek.parked p
      where _kept and p.key = _key and p.job_id is distinct from _but and p.called_at > clock_timestamp() - statek.called_for()))::integer
$$;

-- Calls parked jobs to the free seats of a key, whose row of limits the caller holds: of the prefix that has the fewest
-- seats, or was called longest ago, the most urgent job, the oldest of these.
create function statek.call_parked(_key text) returns integer
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
declare
  free integer;
  picked record;
  called uuid[] := '{}';
begin
  select l.most - statek.seats_taken(_key) into free from statek.limits l where l.key = _key;
  for i in 1 .. least(coalesce(free, 0), 100) loop
    with recursive p(prefix) as (
      (select q.prefix from statek.parked q where q.key = _key and q.called_at is null order by q.prefix limit 1)
      union all
      select (select q.prefix from statek.parked q where q.key = _key and q.called_at is null and q.prefix > p.prefix order by q.prefix limit 1)
      from p where p.prefix is not null
    ), running as (
      select r.prefix, count(*) as n
      from (
        select s.prefix from statek.seats s join statek.job_state js on js.job_id = s.job_id where s.key = _key and js.owner is not null
        union all
        select q.prefix from statek.parked q where q.key = _key and q.called_at is not null
      ) r
      group by r.prefix
    )
    select head.job_id, p.prefix into picked
    from p
    cross join lateral (
      select q.job_id, q.since from statek.parked q
      where q.key = _key and q.prefix = p.prefix and q.called_at is null
      order by q.priority, q.since
      limit 1
    ) head
    left join running r on r.prefix = p.prefix
    left join statek.turns t on t.key = _key and t.prefix = p.prefix
    order by coalesce(r.n, 0), t.at nulls first, head.since
    limit 1;
    exit when picked.job_id is null;
    update statek.parked q set called_at = clock_timestamp() where q.job_id = picked.job_id;
    insert into statek.turns as t (key, prefix, at) values (_key, picked.prefix, clock_timestamp())
      on conflict (key, prefix) do update set at = excluded.at;
    called := called || picked.job_id;
  end loop;
  perform statek.ring(called);
  return cardinality(called);
end $$;

-- Gives jobs that are about to be claimed their seats, or parks them. Jobs without a limit are not in the answer. Who is
-- to be cancelled or paused needs no seat.
create function statek.seat_jobs(_jobs uuid[])
  returns table (job uuid, seated boolean)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
declare
  j record;
  over text;
  now_seated uuid[] := '{}';
begin
  perform from statek.limits l where l.key in (select o.key from statek.limits_of(_jobs) o) order by l.key for no key update;
  for j in
    select o.job, array_agg(o.key) as keys, c.prefix::text as prefix, c.priority, p.key as called_to, m.urgent
    from statek.limits_of(_jobs) o
    join statek.jobs c on c.id = o.job
    left join statek.parked p on p.job_id = o.job and p.called_at is not null
    cross join lateral (
      select coalesce(bool_or(b.kind in ('cancel', 'pause')) and not bool_or(b.kind = 'resume'), false) as urgent
      from statek.mailbox b where b.job_id = o.job
    ) m
    group by o.job, c.prefix, c.priority, p.key, m.urgent
    order by p.key is null, c.priority, o.job
  loop
    over := (
      select l.key from statek.limits l
      where l.key = any(j.keys)
        and (statek.seats_taken(l.key, j.job, now_seated, j.called_to is null) >= l.most
          -- Nobody overtakes those who wait: a seat that has just become free is theirs. Who was called has waited, if
          -- for another key: were it to wait for each of its keys anew, two keys with lines would let nobody through.
          or j.called_to is null and exists (
            select from statek.parked p where p.key = l.key and p.called_at is null and p.job_id <> j.job))
      order by l.key limit 1);
    if over is null or j.urgent then
      delete from statek.parked p where p.job_id = j.job;
      update statek.job_state js set parked_on = null where js.job_id = j.job and js.parked_on is not null;
      insert into statek.seats (key, job_id, prefix) select k, j.job, j.prefix from unnest(j.keys) k on conflict do nothing;
      now_seated := now_seated || j.job;
      return query select j.job, true;
      continue;
    end if;
    insert into statek.parked as p (job_id, key, prefix, priority) values (j.job, over, j.prefix, j.priority)
      on conflict (job_id) do update set key = excluded.key, called_at = null;
    -- Nobody owns what is parked, also when it was a dead worker's.
    update statek.job_state js
      set parked_on = over, owner = null, taken_from = coalesce(js.owner, js.taken_from), freed_at = statek.now()
      where js.job_id = j.job and (js.parked_on is distinct from over or js.owner is not null);
    perform statek.call_parked(over);
    if j.called_to <> over then
      perform statek.call_parked(j.called_to); -- the seat that was kept for it is somebody else's
    end if;
    return query select j.job, false;
  end loop;
end $$;
comment on function statek.seat_jobs(uuid[]) is 'For claims: who may run under the limits of agents and prefixes; the others are parked.';

-- Empties the seats of a job that has been let go, and calls others to them. It must be a transaction after the one that let
-- the job go: whoever parked before that is seen, whoever parks later has seen the free seat.
create function statek.vacate(_job uuid) returns integer
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
declare
  keys text[] := array(select s.key from statek.seats s where s.job_id = _job order by s.key);
  n integer := 0;
begin
  perform from statek.limits l where l.key = any(keys) order by l.key for no key update;
  delete from statek.seats s
    where s.job_id = _job and exists (select from statek.job_state js where js.job_id = _job and js.owner is null);
  for i in 1 .. cardinality(keys) loop
    n := n + statek.call_parked(keys[i]);
  end loop;
  return n;
end $$;

-- What nobody has done because it died: seats without an owner, calls that were not answered, free seats with a line.
create function statek.sweep_seats() returns integer
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
declare
  k text;
  n integer := 0;
begin
  for k in
    select l.key from statek.limits l
    where exists (select from statek.parked p where p.key = l.key)
      or exists (select from statek.seats s join statek.job_state js on js.job_id = s.job_id where s.key = l.key and js.owner is null)
    order by l.key for no key update
  loop
    delete from statek.seats s using statek.job_state js where s.key = k and js.job_id = s.job_id and js.owner is null;
    update statek.parked p set called_at = null where p.key = k and p.called_at <= clock_timestamp() - statek.called_for();
    n := n + statek.call_parked(k);
  end loop;
  delete from statek.turns t where t.at < clock_timestamp() - interval '1 hour';
  return n;
end $$;
comment on function statek.sweep_seats() is 'For workers, every few seconds: nothing is parked for ever, whoever died.';

-- Sets, changes or (null) removes a limit. Jobs that run already have seats from the start.
create function statek.set_limit(_prefix text, _role text, _most integer) returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
declare
  k constant text := statek.limit_key(_prefix, _role);
  freed uuid[];
begin
  if _most < 1 or _most > 1000000 then
    raise exception 'a limit of jobs at once must be 1 to 1000000, got %', _most using errcode = 'ST422', hint = 'null removes the limit';
  end if;
  if (select l.most from statek.limits l where l.key = k) is not distinct from _most then
    return false;
  end if;
  perform from statek.limits l where l.key = k for update;
  if _most is null then
    delete from statek.limits l where l.key = k;
    delete from statek.seats s where s.key = k;
    with gone as (delete from statek.parked p where p.key = k returning p.job_id)
    select array_agg(g.job_id) into freed from gone g;
    -- A row that is locked is being claimed just now, and its claim will find no limit.
    update statek.job_state js set parked_on = null
      where js.job_id in (select x.job_id from statek.job_state x where x.job_id = any(freed) for no key update skip locked);
    perform statek.ring(freed, true);
    return true;
  end if;
  insert into statek.limits as l (key, prefix, role, most) values (k, _prefix, _role, _most)
    on conflict (key) do update set most = excluded.most;
  insert into statek.seats (key, job_id, prefix)
    select k, o.job, j.prefix
    from statek.limits_of(array(select js.job_id from statek.job_state js where js.owner is not null)) o
    join statek.jobs j on j.id = o.job
    where o.key = k
    on conflict do nothing;
  if statek.call_parked(k) > 0 then
    perform pg_notify('river.river_insert', '{"queue":"default"}');
  end if;
  return true;
end $$;

create function statek.set_prefix_limit(_prefix text, _most integer) returns boolean
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  if _prefix is null or not (_prefix = '/' or _prefix ~ '^(/[a-zA-Z0-9_.-]{1,64}){1,16}$') then
    raise exception 'a prefix must look like /acme/triage, got %', coalesce(_prefix, 'null') using errcode = 'ST422';
  end if;
  insert into statek.prefixes (path) values (_prefix) on conflict do nothing;
  return statek.set_limit(_prefix, null, _most);
end $$;
comment on function statek.set_prefix_limit(text, integer) is
  'How many jobs at a prefix and below run at once, over all workers; null: any number. False: it was so already.';
revoke execute on function statek.set_prefix_limit(text, integer), statek.set_limit(text, text, integer), statek.seat_jobs(uuid[]),
  statek.vacate(uuid), statek.sweep_seats(), statek.call_parked(text) from public;

-- Why a job is parked, as a sentence.
create function statek.parked_why(_key text) returns text
  language sql stable
  return coalesce((select 'waits for a place: ' || l.key || ' runs ' || statek.seats_taken(l.key) || ' of ' || l.most
    from statek.limits l where l.key = _key), 'waits for a worker to take it');

drop function statek.claim_jobs(uuid[], boolean[], uuid);
-- Takes jobs for a worker, as before, but for those that have no seat under a limit: they are parked, and nobody is told.
-- limited: the job is under a limit, so whoever lets it go must vacate.
create function statek.claim_jobs(_jobs uuid[], _held boolean[], _worker uuid)
  returns table (job uuid, claimed boolean, epoch bigint, previous uuid, limited boolean)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
declare
  locked uuid[];
  seated uuid[] := '{}';
  parked uuid[] := '{}';
begin
  if cardinality(_jobs) = 1 then
    select array_agg(js.job_id) into locked
    from (select s.job_id from statek.job_state s where s.job_id = _jobs[1] for no key update) js;
  else
    select array_agg(js.job_id) into locked
    from (select s.job_id from statek.job_state s where s.job_id = any(_jobs) order by s.job_id for no key update skip locked) js;
  end if;
  if exists (select from statek.limits) then
    select coalesce(array_agg(s.job) filter (where s.seated), '{}'), coalesce(array_agg(s.job) filter (where not s.seated), '{}')
      into seated, parked
    from statek.seat_jobs(array(
      select js.job_id
      from unnest(_jobs, _held) as a(job_id, held)
      join statek.job_state js on js.job_id = a.job_id and js.job_id = any(locked)
      left join statek.workers w on w.id = js.owner
      where js.owner is null or w.id is null or w.dead_at is not null or js.owner = _worker and not a.held)) s;
  end if;
  return query
    with fate as materialized (
      select js.job_id, js.owner, coalesce(js.owner, js.taken_from) as previous, js.epoch,
        (js.owner is null or w.id is null or w.dead_at is not null or js.owner = _worker and not a.held)
          and js.job_id <> all(parked) as free
      from unnest(_jobs, _held) as a(job_id, held)
      join statek.job_state js on js.job_id = a.job_id and js.job_id = any(locked)
      left join statek.workers w on w.id = js.owner
    ), taken as (
      update statek.job_state js
      set epoch = js.epoch + 1, owner = _worker, taken_from = null, rung = false, parked_on = null
      where js.job_id = any(array(select f.job_id from fate f where f.free))
      returning js.job_id, js.epoch
    ), told as (
      update statek.job_state js
      set rung = true
      where js.job_id = any(array(select f.job_id from fate f where not f.free and f.job_id <> all(parked))) and not js.rung
    )
    select f.job_id, f.free, coalesce(t.epoch, f.epoch), f.previous, f.job_id = any(seated) or f.job_id = any(parked)
    from fate f left join taken t on t.job_id = f.job_id;
end $$;
comment on function statek.claim_jobs(uuid[], boolean[], uuid) is
  'For workers: takes jobs that are free or whose owner is dead; else marks them rung for their owners.';

create or replace view statek.job_overview as
select j.id, j.prefix::text as prefix, j.role as agent, j.agent_version as version, s.status, s.outcome,
  case when s.parked_on is null then s.blocked_on else 'place' end as blocked_on,
  case when s.parked_on is null then s.blocked_why else statek.parked_why(s.parked_on) end as blocked_why, j.created_at as created, s.changed_at as changed, j.finished_at as finished, s.wake_at,
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
  case when s.parked_on is null then s.blocked_on else 'place' end as blocked_on,
  case when s.parked_on is null then s.blocked_why else statek.parked_why(s.parked_on) end as blocked_why,
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
      when o.parked_on is not null then 'it ' || o.blocked_why
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

-- As before, but jobs under limits are rung: a claim gives them their seats.
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
        and (not exists (select from statek.limits) or js.job_id not in (select o.job from statek.limits_of(_jobs) o))
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
