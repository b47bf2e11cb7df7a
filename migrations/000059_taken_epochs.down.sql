create or replace function statek.wake(_jobs uuid[]) returns void
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
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
