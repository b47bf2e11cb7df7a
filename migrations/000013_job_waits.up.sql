-- Waiting for the end of another job.

-- How a job stands, for those who wait for it: null while it goes on. Visible are the jobs of the waiter's own
-- prefix and below; the others look as if they were not there.
create function statek.job_outcome(_job uuid, _prefix text, out kind text, out payload json)
  language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select
    case when t.id is null then 'rejected' when t.status = 'DONE' then 'resolved' end,
    case when t.id is null then json_build_object('name', 'NotFoundError', 'code', 'not_found', 'message',
        format('there is no job %s at %s or below', _job, _prefix))
      when t.status = 'DONE' then json_build_object('id', t.id, 'outcome', t.outcome, 'result', t.result, 'error', t.error)
    end
  from (select) one
  left join (
    select j.id, s.status, s.outcome, j.result, j.error
    from statek.jobs j join statek.job_state s on s.job_id = j.id
    where j.id = _job and statek.covers(_prefix, j.prefix)) t on true
$$;
