-- A worker that wakes a few jobs may take them in the same transaction: then no doorbell has to travel. It says so with
-- statek.taker, its own id, and reads in statek.taken which jobs it has got; it claims them once more before it runs
-- them. If it dies before that they are jobs of a dead worker, which are taken over like any other.
create function statek.wake(_jobs uuid[]) returns void
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
comment on function statek.wake(uuid[]) is 'For workers: rings jobs, or takes a few of them for the worker that says so.';

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
    perform statek.wake(rung);
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
  perform statek.wake(rung);
  return n;
end $$;
