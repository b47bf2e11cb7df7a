-- Back to one job a claim, and to statements of their own for what a commit writes.
-- Takes a job for a worker. Free, or held by a worker that is dead or gone, or by this very worker that no
-- longer runs it (_held false): the epoch goes up and the job is the caller's. Otherwise the owner is told
-- through rung. No row: no such job. What the claimer then reads (history, mailbox) it must read in a later
-- statement: this one's snapshot is older than the lock it waited for.
create function statek.claim(_job uuid, _worker uuid, _held boolean)
  returns table (claimed boolean, epoch bigint, previous uuid)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
declare
  s record;
  alive boolean;
begin
  select js.epoch, js.owner, js.taken_from into s from statek.job_state js where js.job_id = _job for no key update;
  if not found then
    return;
  end if;
  select w.dead_at is null into alive from statek.workers w where w.id = s.owner;
  if s.owner is null or alive is not true or (s.owner = _worker and not _held) then
    update statek.job_state js
      set epoch = js.epoch + 1, owner = _worker, taken_from = null, rung = false
      where js.job_id = _job;
    return query select true, s.epoch + 1, coalesce(s.owner, s.taken_from);
  else
    update statek.job_state js set rung = true where js.job_id = _job and not js.rung;
    return query select false, s.epoch, s.owner;
  end if;
end $$;
comment on function statek.claim(uuid, uuid, boolean) is
  'For workers: takes a job that is free or whose owner is dead; else marks it rung for its owner.';

-- The fence, and the only way a job's row moves. Every commit of a worker calls it; a worker that has lost
-- the job gets ST001 and its whole transaction is void, also in a pipelined batch, where nobody can look at
-- a row count before the COMMIT. It returns the first seq of the _rows history rows that the caller adds;
-- since seq is given under the row's lock, commit order is seq order.
create function statek.advance(_job uuid, _epoch bigint, _owner uuid, _rows integer, _status text, _outcome text,
    _core json, _blocked_on text, _blocked_why text, _wake_at timestamptz) returns bigint
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
declare
  last bigint;
begin
  update statek.job_state js
    set seq = js.seq + _rows, status = _status, outcome = _outcome, core = _core, blocked_on = _blocked_on,
      blocked_why = _blocked_why, wake_at = _wake_at, changed_at = statek.now()
    where js.job_id = _job and js.epoch = _epoch and js.owner = _owner
    returning js.seq into last;
  if not found then
    raise exception 'job % is not held at epoch % by %', _job, _epoch, _owner
      using errcode = 'ST001', hint = 'another worker has taken the job over; drop it and claim it again';
  end if;
  return last - _rows + 1;
end $$;
comment on function statek.advance(uuid, bigint, uuid, integer, text, text, json, text, text, timestamptz) is
  'For workers: the fenced write of a job''s state; raises ST001 unless the caller holds the job at that epoch.';

-- Lets a job go unless it was rung since. On false the caller reads the mailbox again in a new snapshot.
create or replace function statek.release(_job uuid, _epoch bigint, _owner uuid) returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
begin
  update statek.job_state js set owner = null
    where js.job_id = _job and js.epoch = _epoch and js.owner = _owner and not js.rung;
  return found;
end $$;
comment on function statek.release(uuid, bigint, uuid) is
  'For workers: gives a job up; false when it was rung meanwhile or is no longer held.';

drop trigger catalog_changed on statek.agents;
drop trigger catalog_changed on statek.tools;
drop trigger catalog_changed on statek.temporals;
drop function statek.catalog_changed();
drop function statek.check_generation(bigint);
drop function statek.submit_jobs(bigint, uuid[], text[], uuid[], text[], integer[], text[], text[], text[], smallint[], text[], timestamptz[],
  text[], timestamptz[], text[], text[], text[], integer[], text[], text[], text[]);
drop function statek.commit_jobs(uuid, uuid[], bigint[], text[], integer[], text[], text[], text[], text[], text[], timestamptz[],
  boolean[], text[], text[], integer[], integer[], text[], integer[], integer[], timestamptz[], text[], bigint[],
    integer[], text[], integer[], text[], text[], text[]);
drop function statek.claim_jobs(uuid[], boolean[], uuid);
drop index statek.job_state_unowned;
create index job_state_unowned on statek.job_state (changed_at)
  where owner is null and parked_on is null and status in ('READY', 'WARMING_UP', 'STARTED');
alter table statek.job_state drop column freed_at;
alter table statek.jobs reset (fillfactor);
