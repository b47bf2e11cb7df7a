-- Wake evidence: what made a wait ready is kept with its value, and what last touched a group with the group.

-- A check that came of marks says of which: the dep last marked, when, and how many marks there were.
alter table statek.wait_checks add column dep text, add column marked_at timestamptz, add column marks integer not null default 0;

alter table statek.wait_groups
  add column touched_dep text,                     -- what a write touched last
  add column touched_at timestamptz,
  add column touches bigint not null default 0;    -- marks so far

-- Whoever resolves waits says why for the whole of its transaction (statek.woke), so that no insert can forget it.
alter table statek.mailbox add column evidence json default nullif(current_setting('statek.woke', true), '')::json;

-- Evidence as words, for "woken by …".
create function statek.woken_by(_e jsonb) returns text
  language sql stable
  return case _e ->> 'by'
    when 'change' then 'a change of ' || (_e ->> 'what') || case when (_e ->> 'marks')::bigint > 1 then ', marked ' || (_e ->> 'marks') || ' times' else '' end
    when 'event' then 'the event ' || (_e ->> 'what')
    when 'timer' then 'the clock'
    when 'first look' then 'the look when it began to wait'
    when 'recheck' then 'its recheck'
    when 'retry' then 'another look, after a lock or a failure'
    when 'sweep' then 'the safety sweep: nothing had told of it'
    else _e ->> 'by'
  end;
comment on function statek.woken_by(jsonb) is 'Wake evidence, from the payload of call_settled, as words.';

create or replace view statek.job_timeline as
select h.job_id, h.seq, h.at,
  (statek.describe(h.kind, h.cell, h.call, h.payload,
    h.call > 0 and bool_or(h.kind = 'call_issued' and h.payload ->> 'class' = 'wait') over (partition by h.job_id, h.cell, h.call))
  || case when h.kind = 'call_settled' and h.payload ? 'woke' then ' (woken by ' || statek.woken_by(h.payload -> 'woke') || ')' else '' end)::text as what,
  h.kind, h.cell, h.call
from (select job_id, seq, at, kind, cell, call, statek.readable(payload) as payload from statek.history) h
order by h.job_id, h.seq;

-- A dep as words: the table and key, or the event, that it names.
create function statek.dep_text(_dep text) returns text
  language sql immutable parallel safe
  return case
    when _dep like 'fact:%' then 'the event ' || quote_literal(substr(_dep, strpos(substr(_dep, 6), ':') + 6)) || ' at ' || split_part(substr(_dep, 6), ':', 1)
    when _dep like '%:*' then 'any row of ' || split_part(_dep, ':', 1)
    else split_part(_dep, ':', 1) || ' with the key ' || quote_literal(substr(_dep, strpos(_dep, ':') + 1))
  end;

drop function statek.explain(uuid);
create function statek.explain(_job uuid)
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
comment on function statek.explain(uuid) is
  'Why a job is where it is: first the job, then each open wait, who can end it, and how the last look went.';
revoke execute on function statek.explain(uuid) from public;
