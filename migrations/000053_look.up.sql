-- A look in few round trips: what precedes and follows the temporal's own SQL is one call each. The protocol and its proof
-- are in internal/temporal/doc.go.

-- Takes groups and the checks that are due, in a snapshot older than those of the statements that look. Missing are those
-- that somebody else is looking at, that are gone, and temporals of embedding programs that the caller does not know.
create function statek.take_groups(_ids bigint[], _known text[])
  returns table (id bigint, prefix text, kind text, name text, temporal_id uuid, args json, attempts integer, last_result text,
    retry_at timestamptz, recheck_ms bigint, taken bigint, marks bigint, touched text, touched_at timestamptz, waiting boolean)
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
begin
  return query
  with g as materialized (
    select x.id, x.prefix, x.kind, x.name, x.temporal_id, x.args, x.recheck, x.attempts, x.last_result, x.retry_at
    from statek.wait_groups x
    where x.id = any(_ids) and (x.kind <> 'go' or x.name = any(_known))
    order by x.id
    for no key update skip locked
  ),
  gone as (
    delete from statek.wait_checks c
    where c.group_id = any(array(select g.id from g)) and c.settle_xid <= pg_snapshot_xmin(pg_current_snapshot())
    returning c.group_id, c.dep, c.marked_at, c.marks
  )
  select g.id, g.prefix, g.kind, g.name, g.temporal_id, g.args, g.attempts, coalesce(g.last_result, ''), g.retry_at,
    (extract(epoch from coalesce(g.recheck, '0')) * 1000)::bigint,
    t.taken, t.marks, coalesce(t.dep, ''), coalesce(t.at, 'epoch'), exists (select from statek.waits w where w.group_id = g.id)
  from g
  cross join lateral (
    select count(*) as taken, coalesce(sum(d.marks), 0)::bigint as marks, max(d.marked_at) as at,
      (array_agg(d.dep order by d.marked_at desc) filter (where d.marks > 0))[1] as dep
    from gone d where d.group_id = g.id) t;
end $$;
comment on function statek.take_groups(bigint[], text[]) is 'For workers: takes groups of waits and the looks owed to them.';

-- Turns marks into checks of groups in which somebody waits, all in one snapshot, and takes the group when there is one and _take says so:
-- the caller then looks in this transaction, and the marks are there again if it dies. The array makes the limited, locking sub-select run
-- once: as a join it may be executed again and again. The laterals keep the plan on the index whatever the statistics.
create function statek.drain_marks(_most integer, _known text[], _take boolean)
  returns table (drained bigint, groups bigint[], id bigint, prefix text, kind text, name text, temporal_id uuid, args json,
    attempts integer, last_result text, retry_at timestamptz, recheck_ms bigint, taken bigint, marks bigint, touched text,
    touched_at timestamptz, waiting boolean)
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
declare
  n bigint;
  ids bigint[];
begin
  with took as materialized (
    delete from statek.dirty x
    where x.id = any(array(
      select d.id from statek.dirty d order by d.id limit _most for update skip locked))
    returning x.dep, x.below, x.at
  ),
  left_by as materialized (
    select t.dep, t.below, count(*) as n, max(t.at) as at from took t group by t.dep, t.below
  ),
  hit as materialized (
    select x.group_id, m.dep, m.at, m.n
    from left_by m
    cross join lateral (select w.group_id from statek.wait_deps w where w.dep = m.dep offset 0) x
    where not m.below
    union all
    select x.group_id, x.dep, m.at, m.n
    from left_by m
    cross join lateral (
      select w.group_id, w.dep from statek.wait_deps w
      where w.dep >= m.dep and w.dep < (left(m.dep, -1) || ';') collate "C" offset 0) x
    where m.below
  ),
  owed as (
    insert into statek.wait_checks (group_id, settle_xid, dep, marked_at, marks)
    select h.group_id, '0', (array_agg(h.dep order by h.at desc))[1], max(h.at), sum(h.n)::integer
    from hit h
    where exists (select from statek.waits w where w.group_id = h.group_id) -- what a complement wrote for the last waiter
    group by h.group_id
    returning group_id
  )
  select (select count(*) from took), coalesce((select array_agg(o.group_id order by o.group_id) from owed o), '{}')
    into n, ids;
  if _take and cardinality(ids) = 1 then
    return query select n, ids, g.* from statek.take_groups(ids, _known) g;
    if found then
      return;
    end if;
  end if;
  return query select n, ids, null::bigint, null::text, null::text, null::text, null::uuid, null::json, null::integer, null::text,
    null::timestamptz, null::bigint, null::bigint, null::bigint, null::text, null::timestamptz, null::boolean;
end $$;
comment on function statek.drain_marks(integer, text[], boolean) is 'For workers: turns marks of writers into looks, and begins the look when it is one.';

-- Locks the first waiters of a group, their sets before them; those that a timer, a withdrawal or another member's
-- evaluation holds are skipped, but counted in heads. _evidence says for the rest of this transaction why waits are
-- resolved in it: the default of mailbox.evidence.
create function statek.take_heads(_group bigint, _most integer, _evidence text)
  returns table (id bigint, job_id uuid, cell integer, call integer, set_id bigint, heads bigint)
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
begin
  perform set_config('statek.woke', _evidence, true);
  return query
  with first as materialized (
    select i.id, i.set_id from statek.waits i where i.group_id = _group order by i.id limit _most
  ),
  sets as materialized (
    select s.id from statek.wait_sets s
    where s.id = any(array(select f.set_id from first f where f.set_id is not null))
    order by s.id
    for update skip locked
  )
  select w.id, w.job_id, w.cell, w.call, w.set_id, (select count(*) from first)
  from statek.waits w
  where w.id = any(array(select f.id from first f)) and (w.set_id is null or w.set_id in (select s.id from sets s))
  order by w.id
  for update of w skip locked;
end $$;
comment on function statek.take_heads(bigint, integer, text) is 'For workers: locks the first waiters of a group that the caller has taken.';
