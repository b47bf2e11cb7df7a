-- Who tells a job something in a process that works too may have the worker there take the job with that, as with a submission:
-- no doorbell, no fetch, no claim.

-- Leaves mail for a job and rings it; or gives the job, when nobody has it, to a worker that asks for it and lives. Not under a
-- limit: there a claim has to find a seat. The answer is a row if the worker has the job now. Who holds the job's row is about to
-- take it or to let it go, and is rung.
create function statek.put_mail(_job uuid, _kind text, _payload text, _taker uuid)
  returns table (epoch bigint, previous uuid)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
begin
  insert into statek.mailbox (job_id, kind, payload) values (_job, _kind, _payload::json);
  if _taker is not null
    and exists (select from statek.workers w where w.id = _taker and w.dead_at is null)
    and not (exists (select from statek.limits) and exists (select from statek.limits_of(array[_job])))
  then
    perform from statek.job_state s where s.job_id = _job and s.owner is null for no key update skip locked;
    if found then
      return query select c.epoch, c.previous from statek.claim_jobs(array[_job], array[false], _taker) c where c.claimed;
      return;
    end if;
  end if;
  perform statek.ring(array[_job]);
end $$;
comment on function statek.put_mail(uuid, text, text, uuid) is
  'For the API: leaves mail for a job and rings it, or gives it to the worker that asks.';
