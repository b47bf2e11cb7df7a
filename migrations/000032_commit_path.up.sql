-- The write path of workers in one call each: what is claimed together, and all of a commit but its variables and
-- waits. It replaces statek.claim and statek.advance.

-- changed_at moves with every commit; an index on it would keep all of them from being HOT. Whether a job has lost
-- its doorbell asks only since when nobody owns it.
alter table statek.job_state add column freed_at timestamptz not null default statek.now();
update statek.job_state set freed_at = changed_at where owner is null and status in ('READY', 'WARMING_UP', 'STARTED');
drop index statek.job_state_unowned;
create index job_state_unowned on statek.job_state (freed_at)
  where owner is null and parked_on is null and status in ('READY', 'WARMING_UP', 'STARTED');

-- Room for the one update of a job's end on its page, which then touches no index.
alter table statek.jobs set (fillfactor = 80);

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

-- Commits of a worker, each of another job, and the only way a job's row moves. If the worker has lost one of the
-- jobs it gets ST001 and the whole transaction is void, also in a pipelined batch, where nobody can look at a row count
-- before the COMMIT. History's seq is given under the row's lock, so commit order is seq order. _leaves: 'release' gives
-- a job up unless it was rung since the claim, 'hand over' gives it up and rings it. The answer says of each job whether
-- it is given up; when it was to be and is not, the caller reads the mailbox again in a new snapshot. History rows say
-- by _of which of the jobs they belong to, counted from 1, and by _nth which of its rows they are; variables that had no
-- value before likewise by _var_of.
create function statek.commit_jobs(_owner uuid, _jobs uuid[], _epochs bigint[], _leaves text[], _rows integer[],
    _statuses text[], _outcomes text[], _cores text[], _blocked_on text[], _blocked_why text[], _wake_at timestamptz[],
    _reopened boolean[], _results text[], _errors text[],
    _of integer[], _nth integer[], _kinds text[], _cells integer[], _calls integer[], _ats timestamptz[], _payloads text[],
    _mail bigint[],
    _var_of integer[], _names text[], _var_cells integer[], _values text[], _types text[], _refusals text[])
  returns table (job uuid, released boolean)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
declare
  moved uuid[];
  lasts bigint[];
  frees boolean[];
begin
  with c as materialized (
    select * from unnest(_jobs, _epochs, _leaves, _rows, _statuses, _outcomes, _cores, _blocked_on, _blocked_why, _wake_at) with ordinality
      as c(job_id, epoch, leave, rows, status, outcome, core, blocked_on, blocked_why, wake_at, n)
  ), m as (
    update statek.job_state js
    set seq = js.seq + c.rows, status = c.status, outcome = c.outcome, core = c.core::json,
      blocked_on = c.blocked_on, blocked_why = c.blocked_why, wake_at = c.wake_at, changed_at = statek.now(),
      owner = case when c.leave = 'hand over' or c.leave = 'release' and not js.rung then null else js.owner end,
      rung = js.rung and c.leave is distinct from 'hand over',
      freed_at = case when c.leave is null then js.freed_at else statek.now() end
    from c
    where js.job_id = c.job_id and js.epoch = c.epoch and js.owner = _owner
    returning js.job_id, js.seq - c.rows as last, js.owner is null as free, c.n
  )
  select array_agg(m.job_id order by m.n), array_agg(m.last order by m.n), array_agg(m.free order by m.n) into moved, lasts, frees from m;
  if moved is distinct from _jobs then
    raise exception 'job % is not held by % at its epoch', (select u.id from unnest(_jobs) as u(id) where u.id <> all(coalesce(moved, '{}')) limit 1), _owner
      using errcode = 'ST001', hint = 'another worker has taken the job over; drop it and claim it again';
  end if;
  insert into statek.history (job_id, seq, kind, cell, call, at, payload)
    select _jobs[e.of], lasts[e.of] + e.nth, e.kind, e.cell, e.call, e.at, e.payload::json
    from unnest(_of, _nth, _kinds, _cells, _calls, _ats, _payloads) as e(of, nth, kind, cell, call, at, payload);
  insert into statek.variables (job_id, name, cell_from, value, type, bytes, refused)
    select _jobs[v.of], v.name, v.cell, nullif(v.value, '')::json, v.type, octet_length(v.value), nullif(v.refused, '')
    from unnest(_var_of, _names, _var_cells, _values, _types, _refusals) as v(of, name, cell, value, type, refused);
  if cardinality(_mail) > 0 then
    delete from statek.mailbox m where m.id = any(_mail) and m.job_id = any(_jobs);
  end if;
  if 'DONE' = any(_statuses) then
    update statek.jobs j
      set result = c.result::json, error = c.error, finished_at = statek.now(), open_key = null
      from unnest(_jobs, _statuses, _results, _errors) as c(job_id, status, result, error)
      where j.id = c.job_id and c.status = 'DONE';
    -- A statement after the one that took this transaction's id: a waiter that it does not see settles later.
    perform statek.mark_fact(array(select 'job:' || c.job_id from unnest(_jobs, _statuses) as c(job_id, status) where c.status = 'DONE'));
  end if;
  if true = any(_reopened) then
    update statek.jobs j
      set result = null, error = null, finished_at = null
      from unnest(_jobs, _statuses, _reopened) as c(job_id, status, reopened)
      where j.id = c.job_id and c.reopened and c.status <> 'DONE';
  end if;
  if 'hand over' = any(_leaves) then
    perform statek.ring(array(select c.job_id from unnest(_jobs, _leaves) as c(job_id, leave) where c.leave = 'hand over'));
  end if;
  return query select * from unnest(_jobs, frees);
end $$;
comment on function statek.commit_jobs(uuid, uuid[], bigint[], text[], integer[], text[], text[], text[], text[], text[], timestamptz[],
    boolean[], text[], text[], integer[], integer[], text[], integer[], integer[], timestamptz[], text[], bigint[],
    integer[], text[], integer[], text[], text[], text[]) is
  'For workers: the fenced write of jobs'' states and history; raises ST001 unless the caller holds each job at its epoch.';

-- Any change of definitions counts, whoever makes it: what was read at an older generation may be out of date.
create function statek.catalog_changed() returns trigger
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  update statek.catalog set generation = generation + 1;
  return null;
end $$;
create trigger catalog_changed after insert or update or delete or truncate on statek.agents
  for each statement execute function statek.catalog_changed();
create trigger catalog_changed after insert or update or delete or truncate on statek.tools
  for each statement execute function statek.catalog_changed();
create trigger catalog_changed after insert or update or delete or truncate on statek.temporals
  for each statement execute function statek.catalog_changed();
update statek.catalog set generation = generation + 1;

-- Raises ST002 when definitions have changed since a generation; 0 is not checked.
create function statek.check_generation(_generation bigint) returns void
  language plpgsql stable
  set search_path = pg_catalog, pg_temp as $$
begin
  if _generation <> 0 and _generation is distinct from (select c.generation from statek.catalog c) then
    raise exception 'definitions have changed since generation %', _generation using errcode = 'ST002', hint = 'read them again';
  end if;
end $$;

-- Submits jobs that have no business key: all their rows and their doorbells. Jobs that start later are not rung.
-- _generation is that of the definitions they were planned with.
create function statek.submit_jobs(_generation bigint, _ids uuid[], _prefixes text[], _agents uuid[], _roles text[], _versions integer[],
    _sources text[], _locales text[], _tags text[], _priorities smallint[], _specs text[], _ats timestamptz[],
    _cores text[], _wake_at timestamptz[], _blocked_on text[], _blocked_why text[], _submitted text[],
    _var_of integer[], _names text[], _values text[], _types text[]) returns void
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  perform statek.check_generation(_generation);
  insert into statek.prefixes (path)
    select distinct p.path from unnest(_prefixes) as p(path)
    where not exists (select from statek.prefixes x where x.path = p.path)
    order by 1
    on conflict do nothing;
  insert into statek.jobs (id, prefix, agent_id, role, agent_version, source, locale, tags, priority, spec, created_at)
    select n.id, n.prefix, n.agent, n.role, n.version, n.source, n.locale, n.tags::text[], n.priority, n.spec::json, n.at
    from unnest(_ids, _prefixes, _agents, _roles, _versions, _sources, _locales, _tags, _priorities, _specs, _ats)
      as n(id, prefix, agent, role, version, source, locale, tags, priority, spec, at);
  insert into statek.job_state (job_id, status, core, seq, wake_at, blocked_on, blocked_why)
    select n.id, 'READY', n.core::json, 1, n.wake_at, n.blocked_on, n.blocked_why
    from unnest(_ids, _cores, _wake_at, _blocked_on, _blocked_why) as n(id, core, wake_at, blocked_on, blocked_why);
  insert into statek.history (job_id, seq, kind, at, payload)
    select n.id, 1, 'submitted', n.at, n.payload::json from unnest(_ids, _ats, _submitted) as n(id, at, payload);
  insert into statek.variables (job_id, name, cell_from, value, type, bytes)
    select _ids[v.of], v.name, 0, v.value::json, v.type, octet_length(v.value)
    from unnest(_var_of, _names, _values, _types) as v(of, name, value, type);
  perform statek.ring(array(select n.id from unnest(_ids, _wake_at) as n(id, wake_at) where n.wake_at is null));
end $$;
comment on function statek.submit_jobs(bigint, uuid[], text[], uuid[], text[], integer[], text[], text[], text[], smallint[], text[], timestamptz[],
    text[], timestamptz[], text[], text[], text[], integer[], text[], text[], text[]) is
  'For the API: inserts jobs without business keys, and rings those that may start.';

drop function statek.advance(uuid, bigint, uuid, integer, text, text, json, text, text, timestamptz);
drop function statek.claim(uuid, uuid, boolean);

create or replace function statek.release(_job uuid, _epoch bigint, _owner uuid) returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
begin
  update statek.job_state js set owner = null, freed_at = statek.now()
    where js.job_id = _job and js.epoch = _epoch and js.owner = _owner and not js.rung;
  return found;
end $$;
