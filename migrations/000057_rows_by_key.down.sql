drop function statek.commit_jobs(uuid, uuid[], bigint[], text[], integer[], text[], text[], text[], text[], text[], timestamptz[],
    boolean[], text[], text[], integer[], integer[], text[], integer[], integer[], timestamptz[], text[], bigint[],
    integer[], text[], integer[], text[], text[], text[]);

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
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
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

create or replace function statek.release(_job uuid, _epoch bigint, _owner uuid) returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
begin
  update statek.job_state js set owner = null, freed_at = statek.now()
    where js.job_id = _job and js.epoch = _epoch and js.owner = _owner and not js.rung;
  return found;
end $$;
