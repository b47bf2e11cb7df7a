-- The versions before know neither a state that trails nor a warmup that is not in the job's own row.
do $$
declare
  job uuid;
begin
  select js.job_id into job from statek.job_state js
    where not starts_with(js.core::text, '{"seq":' || js.seq || ',') and not starts_with(js.core::text, '{"seq":' || js.seq || '}')
    order by 1 limit 1;
  if found then
    raise exception 'the state of job % is behind its history: start the workers, and stop them when the job has ended or sleeps', job
      using hint = 'a worker died in the middle of its cell; whoever takes the job over writes its state anew';
  end if;
  select js.job_id into job from statek.job_state js
    join statek.jobs j on j.id = js.job_id
    join statek.history h on h.job_id = js.job_id and h.seq = 1
    where js.status <> 'DONE' and coalesce(substring(h.payload::text from '"blocks": *([0-9]+)')::integer, 0) >
      (length(j.spec::text) - length(replace(j.spec::text, '{"source":', ''))) / length('{"source":')
    order by 1 limit 1;
  if found then
    raise exception 'job % has not ended, and the version before would look for its agent''s warmup in its own row', job
      using hint = 'let the jobs that were submitted since come to their end, or cancel them, and try again';
  end if;
end $$;

drop function statek.commit_jobs(uuid, uuid[], bigint[], text[], integer[], bigint[], text[], text[], text[], text[], text[], timestamptz[],
    text[], text[], integer[], integer[], text[], integer[], integer[], timestamptz[], text[], bigint[],
    integer[], text[], integer[], text[], text[], text[]);

create function statek.commit_jobs(_owner uuid, _jobs uuid[], _epochs bigint[], _leaves text[], _rows integer[],
    _statuses text[], _outcomes text[], _cores text[], _blocked_on text[], _blocked_why text[], _wake_at timestamptz[],
    _reopened boolean[], _results text[], _errors text[],
    _of integer[], _nth integer[], _kinds text[], _cells integer[], _calls integer[], _ats timestamptz[], _payloads text[],
    _mail bigint[],
    _var_of integer[], _names text[], _var_cells integer[], _values text[], _types text[], _refusals text[])
  returns boolean[]
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off as $$
declare
  moved uuid[];
  lasts bigint[];
  frees boolean[];
  ended text[];
begin
  -- "= any(_jobs)" is for the planner, here and below: it names the rows by their key whatever is known about the tables, and so
  -- does "is not distinct from", which no index on owners understands.
  with m as (
    update statek.job_state js
    set seq = js.seq + c.rows, status = c.status, outcome = c.outcome, core = c.core::json,
      blocked_on = c.blocked_on, blocked_why = c.blocked_why, wake_at = c.wake_at, changed_at = statek.now(),
      owner = case when c.leave = 'hand over' or c.leave = 'release' and not js.rung then null else js.owner end,
      rung = js.rung and c.leave is distinct from 'hand over',
      freed_at = case when c.leave is null then js.freed_at else statek.now() end
    from unnest(_jobs, _epochs, _leaves, _rows, _statuses, _outcomes, _cores, _blocked_on, _blocked_why, _wake_at) with ordinality
      as c(job_id, epoch, leave, rows, status, outcome, core, blocked_on, blocked_why, wake_at, n)
    where js.job_id = any(_jobs) and js.job_id = c.job_id and js.epoch = c.epoch and js.owner is not distinct from _owner
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
  if cardinality(_names) > 0 then
    insert into statek.variables (job_id, name, cell_from, value, type, bytes, refused)
      select _jobs[v.of], v.name, v.cell, nullif(v.value, '')::json, v.type, octet_length(v.value), nullif(v.refused, '')
      from unnest(_var_of, _names, _var_cells, _values, _types, _refusals) as v(of, name, cell, value, type, refused);
  end if;
  if cardinality(_mail) > 0 then
    delete from statek.mailbox m where m.id = any(_mail) and m.job_id = any(_jobs);
  end if;
  if 'DONE' = any(_statuses) then
    update statek.jobs j
      set result = c.result::json, error = c.error, finished_at = statek.now(), open_key = null
      from unnest(_jobs, _statuses, _results, _errors) as c(job_id, status, result, error)
      where j.id = any(_jobs) and j.id = c.job_id and c.status = 'DONE';
    -- A statement after the one that took this transaction's id: a waiter that it does not see settles later.
    ended := array(select 'job:' || c.job_id from unnest(_jobs, _statuses) as c(job_id, status) where c.status = 'DONE');
    if current_setting('transaction_isolation') <> 'read committed' or exists (select from statek.wait_deps w where w.dep = any(ended)) then
      perform statek.mark_fact(ended);
    end if;
  end if;
  if true = any(_reopened) then
    update statek.jobs j
      set result = null, error = null, finished_at = null
      from unnest(_jobs, _statuses, _reopened) as c(job_id, status, reopened)
      where j.id = any(_jobs) and j.id = c.job_id and c.reopened and c.status <> 'DONE';
  end if;
  if 'hand over' = any(_leaves) then
    perform statek.ring(array(select c.job_id from unnest(_jobs, _leaves) as c(job_id, leave) where c.leave = 'hand over'));
  end if;
  return frees;
end $$;
comment on function statek.commit_jobs(uuid, uuid[], bigint[], text[], integer[], text[], text[], text[], text[], text[], timestamptz[],
    boolean[], text[], text[], integer[], integer[], text[], integer[], integer[], timestamptz[], text[], bigint[],
    integer[], text[], integer[], text[], text[], text[]) is
  'For workers: the fenced write of jobs'' states and history; raises ST001 unless the caller holds each job at its epoch.';

alter table statek.jobs add column finished_at timestamptz, add column result json, add column error text;
update statek.jobs j set result = js.result, error = js.error, finished_at = js.finished_at
  from statek.job_state js where j.id = js.job_id and js.finished_at is not null;

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

create or replace function statek.job_outcome(_job uuid, _prefix text, out kind text, out payload json)
  language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select
    case when t.id is null then 'rejected' when t.status = 'DONE' then 'resolved' end,
    case when t.id is null then json_build_object('name', 'NotFoundError', 'code', 'not_found', 'message',
        format('there is no job %s at %s or below', _job, _prefix))
      when t.status = 'DONE' then json_build_object('id', t.id, 'outcome', t.outcome, 'result', t.result, 'error', t.error)
    end
  from (select) one
  left join (
    select j.id, s.status, s.outcome, j.result, j.error
    from statek.jobs j join statek.job_state s on s.job_id = j.id
    where j.id = _job and statek.covers(_prefix, j.prefix)) t on true
$$;

create or replace function statek.prunable(_after uuid, _look integer)
  returns table (id uuid, due_since timestamptz)
  language sql stable
  set search_path = pg_catalog, pg_temp
  set enable_hashjoin = on as $$
  with old as materialized (
    select j.id, j.prefix, j.finished_at from statek.jobs j
    where j.id > _after and j.id < statek.uuid_at(statek.now() - statek.least_retention())
    order by j.id
    limit _look
  ), kept as materialized ( -- once for each prefix, not for each job
    select p.prefix, r.outcome, r.keep from (select distinct o.prefix::text from old o) p(prefix), statek.retention_at(p.prefix) r
  )
  select o.id, case when s.status = 'DONE' and s.owner is null and o.finished_at + k.keep <= statek.now() then o.finished_at + k.keep end
  from old o
  join statek.job_state s on s.job_id = o.id
  left join kept k on k.prefix = o.prefix and k.outcome = s.outcome
  order by o.id
$$;

alter table statek.job_state drop column result, drop column error, drop column finished_at;

create or replace function statek.sound_state(_status text, _outcome text, _seq bigint, _core json) returns boolean
  language plpgsql immutable parallel safe as $$
begin
  if _status not in ('READY', 'WARMING_UP', 'STARTED', 'SUSPENDED', 'PAUSED', 'DONE') then
    raise check_violation using message = format('%L is no status of a job', _status), constraint = 'job_state_status_check';
  end if;
  if (_status = 'DONE') is distinct from (_outcome is not null) or _outcome not in ('succeeded', 'failed', 'cancelled') then
    raise check_violation using message = format('%L is no outcome of a job that is %s', _outcome, _status), constraint = 'outcome_when_done';
  end if;
  -- As text, for core may hold \u0000, which no JSON operator accepts.
  if not (starts_with(_core::text, '{"seq":' || _seq) and substr(_core::text, length('{"seq":' || _seq) + 1, 1) in (',', '}')) then
    raise check_violation using message = format('the cached fold is not that of row %s of the history', _seq), constraint = 'core_at_seq';
  end if;
  return true;
end $$;
