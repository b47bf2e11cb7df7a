-- Each fact gets its row back.
insert into statek.history (job_id, seq, kind, cell, call, at, payload)
  select e.job_id, e.seq, e.kind, e.cell, e.call, e.at, e.payload
  from statek.history h
  join statek.history_entries e on e.job_id = h.job_id and e.seq = h.seq - 1
  where h.kind = 'called';
update statek.history h set kind = e.kind, payload = e.payload
  from statek.history_entries e
  where e.job_id = h.job_id and e.seq = h.seq and h.kind = 'called';

create or replace view statek.job_timeline as
select h.job_id, h.seq, h.at,
  (statek.describe(h.kind, h.cell, h.call, h.payload,
    h.call > 0 and bool_or(h.kind = 'call_issued' and h.payload ->> 'class' = 'wait') over (partition by h.job_id, h.cell, h.call))
  || case when h.kind = 'call_settled' and h.payload ? 'woke' then ' (woken by ' || statek.woken_by(h.payload -> 'woke') || ')' else '' end)::text as what,
  h.kind, h.cell, h.call
from (select job_id, seq, at, kind, cell, call, statek.readable(payload) as payload from statek.history) h
order by h.job_id, h.seq;
comment on column statek.job_timeline.what is 'The fact as a sentence; the exact bytes are in statek.history.';
drop view statek.history_entries;
comment on table statek.history is null;

drop function statek.commit_job(uuid, uuid, bigint, text, integer, bigint, text, text, text, text, text, timestamptz, text, text,
    integer[], text[], integer[], integer[], timestamptz[], text[], bigint[], text[], integer[], text[], text[], text[]);
create function statek.commit_job(_owner uuid, _job uuid, _epoch bigint, _leave text, _rows integer, _seq bigint,
    _status text, _outcome text, _core text, _blocked_on text, _blocked_why text, _wake_at timestamptz, _result text, _error text,
    _kinds text[], _cells integer[], _calls integer[], _ats timestamptz[], _payloads text[], _mail bigint[],
    _names text[], _var_cells integer[], _values text[], _types text[], _refusals text[])
  returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set jit = off as $$
declare
  last bigint;
  free boolean;
begin
  update statek.job_state js
    set seq = js.seq + _rows, core = coalesce(_core::json, js.core), status = _status, outcome = _outcome,
      result = _result::json, error = _error, blocked_on = _blocked_on, blocked_why = _blocked_why, wake_at = _wake_at,
      changed_at = case when _core is null then js.changed_at else statek.now() end,
      finished_at = case when _status = 'DONE' then statek.now() end,
      owner = case when _leave = 'hand over' or _leave = 'release' and not js.rung then null else js.owner end,
      rung = js.rung and _leave is distinct from 'hand over',
      freed_at = case when _leave is null then js.freed_at else statek.now() end
    where js.job_id = _job and js.epoch = _epoch and js.owner is not distinct from _owner
    returning js.seq, js.owner is null into last, free;
  if not found then
    raise exception 'job % is not held by % at its epoch', _job, _owner
      using errcode = 'ST001', hint = 'another worker has taken the job over; drop it and claim it again';
  end if;
  if last is distinct from _seq then
    raise check_violation using message = format('a commit does not follow the history of its job: row %s, not %s', last, _seq), constraint = 'core_at_seq';
  end if;
  insert into statek.history (job_id, seq, kind, cell, call, at, payload)
    select _job, last - _rows + e.n, e.kind, e.cell, e.call, e.at, e.payload::json
    from unnest(_kinds, _cells, _calls, _ats, _payloads) with ordinality as e(kind, cell, call, at, payload, n);
  if cardinality(_names) > 0 then
    insert into statek.variables (job_id, name, cell_from, value, type, bytes, refused)
      select _job, v.name, v.cell, nullif(v.value, '')::json, v.type, octet_length(v.value), nullif(v.refused, '')
      from unnest(_names, _var_cells, _values, _types, _refusals) as v(name, cell, value, type, refused);
  end if;
  if cardinality(_mail) > 0 then
    delete from statek.mailbox m where m.id = any(_mail) and m.job_id = _job;
  end if;
  if _status = 'DONE' then
    update statek.jobs j set open_key = null where j.id = _job and j.open_key is not null;
    -- A statement after the one that took this transaction's id: a waiter that it does not see settles later.
    if current_setting('transaction_isolation') <> 'read committed' or exists (select from statek.wait_deps w where w.dep = 'job:' || _job) then
      perform statek.mark_fact(array['job:' || _job]);
    end if;
  end if;
  if _leave = 'hand over' then
    perform statek.ring(array[_job]);
  end if;
  return free;
end $$;
comment on function statek.commit_job(uuid, uuid, bigint, text, integer, bigint, text, text, text, text, text, timestamptz, text, text,
    text[], integer[], integer[], timestamptz[], text[], bigint[], text[], integer[], text[], text[], text[]) is
  'For workers: commit_jobs for one job.';
