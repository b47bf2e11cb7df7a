-- A crowd is rung by few doorbells (ADR 28). River's row of a doorbell is written three times, with all of its indexes: for a crowd that
-- woke together this was a fifth of the server's work. Crowds have a queue of their own, from which each worker takes little at a time.

-- The only way a doorbell is rung, in the caller's transaction. It neither reads nor writes the jobs' rows: see 000004. A crowd
-- is told of in the transaction, whoever rings: that wait for the lock is shared by many jobs.
create or replace function statek.ring(_jobs uuid[], _notify boolean default false) returns void
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  jobs constant uuid[] := array(select distinct u.id from unnest(_jobs) as u(id) where u.id is not null);
  most constant integer := 8; -- jobs of one doorbell; so many have one each
begin
  if cardinality(jobs) > most then
    insert into river.river_job (kind, args, queue, priority, max_attempts, state, created_at, scheduled_at)
      select 'doorbells', jsonb_build_object('job_ids', jobs[i : i + most - 1]), 'crowd', 1, 25, 'available', now(), now()
      from generate_series(1, cardinality(jobs), most) as i;
    perform pg_notify('river.river_insert', '{"queue":"crowd"}');
    return;
  end if;
  insert into river.river_job (kind, args, queue, priority, max_attempts, state, created_at, scheduled_at)
    select 'doorbell', jsonb_build_object('job_id', u.id), 'default', 1, 25, 'available', now(), now() from unnest(jobs) as u(id);
  if found and _notify then
    perform pg_notify('river.river_insert', '{"queue":"default"}');
  end if;
end $$;
