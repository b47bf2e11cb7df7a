-- Waits of which only one may win, and the one way in which any wait is ended by somebody else than its job.
-- Lock order: group, set, wait, approval. Whoever locks a wait that is in a set has locked the set before;
-- evaluators and timers skip what is locked, people and jobs wait for it.

-- The table is made anew; nothing has used it so far.
alter table statek.waits drop constraint waits_set_id_fkey;
drop table statek.wait_sets;
create table statek.wait_sets (
  id     bigint generated always as identity primary key,
  job_id uuid not null references statek.jobs(id) on delete cascade,
  -- first: whatever settles a member decides. any: only a value does, a member that times out just leaves.
  mode   text not null check (mode in ('first', 'any'))
);
alter table statek.waits add constraint waits_set_id_fkey foreign key (set_id) references statek.wait_sets(id);
create index waits_set on statek.waits (set_id) where set_id is not null;
create index wait_sets_job on statek.wait_sets (job_id);

alter table statek.mailbox drop constraint mailbox_kind_check,
  add constraint mailbox_kind_check
    check (kind in ('message', 'interrupt', 'resolved', 'timeout', 'rejected', 'cancel', 'pause', 'resume'));

-- Deletes waits, and sets with all that is in them. The sets of the waits are locked by the caller. Questions
-- that nobody has answered yet are taken back with their waits.
create function statek.drop_waits(_ids bigint[], _sets bigint[] default null) returns void
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan -- no planning at each wake-up
  set enable_seqscan = off as $$
begin
  with gone as (
    delete from statek.waits w where w.id = any(_ids) or w.set_id = any(_sets)
    returning w.job_id, w.cell, w.call, w.kind
  )
  update statek.approvals a set status = 'withdrawn', ended_at = statek.now()
  from gone g
  where g.kind = 'approval' and a.job_id = g.job_id and a.cell = g.cell and a.call = g.call and a.status = 'pending';
  if _sets is not null then
    delete from statek.wait_sets s where s.id = any(_sets);
  end if;
end $$;

-- Ends waits that the caller has locked, with their sets: puts _kinds and _payloads into the mailboxes, rings,
-- and takes the other members of a decided set back in the same transaction, before they can claim. Of several
-- waits of one set the first that decides wins, in the order given. Returns how many got their mail.
create function statek.settle_waits(_ids bigint[], _kinds text[], _payloads json[]) returns bigint
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan -- no planning at each wake-up
  set enable_seqscan = off as $$
declare
  won bigint[];
  decided bigint[];
  rung uuid[];
  n bigint;
begin
  perform from statek.waits w where w.id = any(_ids) and (w.set_id is not null or w.kind = 'approval') limit 1;
  if not found then -- nothing hangs on them: one statement
    with gone as (
      delete from statek.waits w where w.id = any(_ids) returning w.id, w.job_id, w.cell, w.call
    ),
    mail as (
      insert into statek.mailbox (job_id, kind, cell, call, payload)
      select g.job_id, i.kind, g.cell, g.call, i.payload
      from unnest(_ids, _kinds, _payloads) with ordinality i(id, kind, payload, n)
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
    insert into statek.mailbox (job_id, kind, cell, call, payload)
    select w.job_id, i.kind, w.cell, w.call, i.payload
    from unnest(_ids, _kinds, _payloads) with ordinality i(id, kind, payload, n)
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
comment on function statek.settle_waits(bigint[], text[], json[]) is
  'For workers: ends waits that the caller holds, withdraws the losers of their sets, leaves mail and rings.';

-- Sleeps and untils that are due resolve, all others time out.
create function statek.fire_timers(_now timestamptz, _most integer) returns bigint
  language plpgsql volatile
  set enable_seqscan = off as $$
declare
  ids bigint[];
  kinds text[];
begin
  with due as materialized (
    select w.id, w.set_id from statek.waits w where w.due_at <= _now order by w.due_at limit _most
  ),
  sets as materialized (
    select s.id from statek.wait_sets s
    where s.id = any(array(select d.set_id from due d where d.set_id is not null))
    order by s.id
    for update skip locked
  ),
  locked as materialized (
    select w.id, w.kind, w.due_at, w.call
    from statek.waits w
    where w.id = any(array(select d.id from due d)) and w.due_at <= _now
      and (w.set_id is null or w.set_id in (select s.id from sets s))
    order by w.id
    for update of w skip locked
  )
  select array_agg(l.id order by l.due_at, l.id),
    array_agg(case when l.kind in ('sleep', 'until') then 'resolved' else 'timeout' end order by l.due_at, l.id)
    into ids, kinds
  from locked l;
  if ids is null then
    return 0;
  end if;
  return statek.settle_waits(ids, kinds, array_fill('null'::json, array[cardinality(ids)]));
end $$;

-- Makes a set of waits of one cell, some of which may have been open for a while: it waits for whoever is
-- ending one of them. If that decides the set, the others are gone before anybody has seen them in it.
create function statek.join_waits(_job uuid, _cell integer, _calls integer[], _mode text) returns void
  language plpgsql volatile
  set enable_seqscan = off as $$
declare
  ids bigint[];
  fresh bigint;
begin
  select array_agg(x.id) into ids
  from (
    select w.id from statek.waits w
    where w.job_id = _job and w.cell = _cell and w.call = any(_calls)
    order by w.id
    for update) x;
  if ids is null then
    return;
  end if;
  if cardinality(ids) < cardinality(_calls) and (_mode = 'first' or exists (
      select from statek.mailbox m
      where m.job_id = _job and m.cell = _cell and m.call = any(_calls) and m.kind = 'resolved')) then
    perform statek.drop_waits(ids);
    return;
  end if;
  insert into statek.wait_sets (job_id, mode) values (_job, _mode) returning id into fresh;
  update statek.waits w set set_id = fresh where w.id = any(ids);
end $$;

-- Takes back open waits of a cell: all, or those of some calls. It waits for whoever is ending one of them;
-- what was ended is in the mailbox then, and stays there.
create function statek.withdraw_waits(_job uuid, _cell integer, _calls integer[] default null) returns void
  language plpgsql volatile
  set enable_seqscan = off as $$
declare
  ids bigint[];
begin
  perform from statek.wait_sets s
  where s.id in (select w.set_id from statek.waits w
                 where w.job_id = _job and w.cell = _cell and (_calls is null or w.call = any(_calls)) and w.set_id is not null)
  order by s.id
  for update;
  select array_agg(x.id) into ids
  from (
    select w.id from statek.waits w
    where w.job_id = _job and w.cell = _cell and (_calls is null or w.call = any(_calls))
    order by w.id
    for update) x;
  if ids is not null then
    perform statek.drop_waits(ids);
  end if;
  delete from statek.wait_sets s
  where s.job_id = _job and not exists (select from statek.waits w where w.set_id = s.id);
end $$;

-- A message is given by the job's own worker, not by an evaluator. Before it is given to a message() that is in
-- a set it has to win the set here; false: another member was faster, or the wait is not registered yet. A
-- winner that dies before it records the message finds it in the mailbox again, and no competitor.
create function statek.take_message(_job uuid, _epoch bigint, _owner uuid, _cell integer, _call integer) returns boolean
  language plpgsql volatile
  set enable_seqscan = off as $$
declare
  wait bigint;
  won bigint;
begin
  perform from statek.job_state s where s.job_id = _job and s.epoch = _epoch and s.owner = _owner for key share;
  if not found then
    raise exception 'job % is not held at epoch % by %', _job, _epoch, _owner using errcode = 'ST001';
  end if;
  select w.id, w.set_id into wait, won
  from statek.waits w where w.job_id = _job and w.cell = _cell and w.call = _call;
  if wait is null or won is null then
    return wait is not null;
  end if;
  perform from statek.wait_sets s where s.id = won for update;
  if not found then
    return false;
  end if;
  update statek.waits w set set_id = null where w.id = wait;
  perform statek.drop_waits(null, array[won]);
  return true;
end $$;
