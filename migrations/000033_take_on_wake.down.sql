create or replace function statek.settle_waits(_ids bigint[], _kinds text[], _payloads json[], _evidence json[] default null) returns bigint
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan -- no planning at each wake-up
  set enable_seqscan = off as $$
declare
  won bigint[];
  decided bigint[];
  rung uuid[];
  n bigint;
  common json := nullif(current_setting('statek.woke', true), '')::json; -- of the whole transaction
begin
  perform from statek.waits w where w.id = any(_ids) and (w.set_id is not null or w.kind = 'approval') limit 1;
  if not found then -- nothing hangs on them: one statement
    with gone as (
      delete from statek.waits w where w.id = any(_ids) returning w.id, w.job_id, w.cell, w.call
    ),
    mail as (
      insert into statek.mailbox (job_id, kind, cell, call, payload, evidence)
      select g.job_id, i.kind, g.cell, g.call, i.payload, coalesce(i.evidence, common)
      from unnest(_ids, _kinds, _payloads, _evidence) with ordinality i(id, kind, payload, evidence, n)
      join gone g on g.id = i.id
      order by i.n
      returning job_id
    )
    select array_agg(distinct m.job_id), count(*) into rung, n from mail m;
    perform statek.ring(rung, false);
    return n;
  end if;
  select array_agg(x.id), array_agg(distinct x.set_id) filter (where x.decides)
    into won, decided
  from (
    select i.id, w.set_id, m.decides,
      w.set_id is not null and coalesce(bool_or(m.decides) over (
        partition by w.set_id order by i.n rows between unbounded preceding and 1 preceding), false) as lost
    from unnest(_ids, _kinds) with ordinality i(id, kind, n)
    join statek.waits w on w.id = i.id
    left join statek.wait_sets s on s.id = w.set_id
    cross join lateral (select s.mode = 'first' or i.kind = 'resolved') m(decides)
  ) x
  where not x.lost;
  with mail as (
    insert into statek.mailbox (job_id, kind, cell, call, payload, evidence)
    select w.job_id, i.kind, w.cell, w.call, i.payload, coalesce(i.evidence, common)
    from unnest(_ids, _kinds, _payloads, _evidence) with ordinality i(id, kind, payload, evidence, n)
    join statek.waits w on w.id = i.id
    where i.id = any(won)
    order by i.n
    returning job_id
  )
  select array_agg(distinct m.job_id), count(*) into rung, n from mail m;
  update statek.approvals a set status = 'expired', ended_at = statek.now()
  from statek.waits w
  where w.id = any(won) and w.kind = 'approval' and a.job_id = w.job_id and a.cell = w.cell and a.call = w.call
    and a.status = 'pending';
  perform statek.drop_waits(won, decided);
  perform statek.ring(rung, false);
  return n;
end $$;
drop function statek.wake(uuid[]);
