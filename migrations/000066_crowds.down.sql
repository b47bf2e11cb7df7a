create or replace function statek.ring(_jobs uuid[], _notify boolean default false) returns void
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  insert into river.river_job (kind, args, queue, priority, max_attempts, state, created_at, scheduled_at)
    select 'doorbell', jsonb_build_object('job_id', j.id), 'default', 1, 25, 'available', now(), now()
    from (select distinct u.id from unnest(_jobs) as u(id) where u.id is not null) j;
  if found and _notify then
    perform pg_notify('river.river_insert', '{"queue":"default"}');
  end if;
end $$;
-- What is left is rung one by one.
select statek.ring(array(
  select x.id::uuid from river.river_job j cross join lateral jsonb_array_elements_text(j.args -> 'job_ids') as x(id)
  where j.kind = 'doorbells' and j.state in ('available', 'running')));
delete from river.river_job where kind = 'doorbells';
