drop function statek.explain(uuid);
create function statek.explain(_job uuid)
  returns table (call integer, name text, kind text, why text, since timestamptz, due timestamptz, deps text[],
    last_result text, last_error text, last_at timestamptz)
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
    o.changed, o.wake_at, '{}'::text[], null::text, null::text, null::timestamptz;
  return query
    select w.call, w.name, w.kind, statek.wait_waker(_job, w.kind, o.prefix, w.due_at, d.deps, g.recheck),
      w.created_at, w.due_at, coalesce(d.deps, '{}'), g.last_result, g.last_error, g.last_at
    from statek.waits w
    left join statek.wait_groups g on g.id = w.group_id
    left join lateral (select array_agg(x.dep order by x.dep) as deps from statek.wait_deps x where x.group_id = w.group_id) d on true
    where w.job_id = _job
    order by w.cell, w.call;
end $$;
comment on function statek.explain(uuid) is
  'Why a job is where it is: first the job, then each open wait, who can end it, and how the last look went.';
revoke execute on function statek.explain(uuid) from public;

create or replace view statek.job_timeline as
select h.job_id, h.seq, h.at,
  statek.describe(h.kind, h.cell, h.call, h.payload,
    h.call > 0 and bool_or(h.kind = 'call_issued' and h.payload ->> 'class' = 'wait') over (partition by h.job_id, h.cell, h.call)) as what,
  h.kind, h.cell, h.call
from (select job_id, seq, at, kind, cell, call, statek.readable(payload) as payload from statek.history) h
order by h.job_id, h.seq;

drop function statek.woken_by(jsonb), statek.dep_text(text);
alter table statek.mailbox drop column evidence;
alter table statek.wait_groups drop column touched_dep, drop column touched_at, drop column touches;
alter table statek.wait_checks drop column dep, drop column marked_at, drop column marks;
