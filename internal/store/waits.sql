-- Waits, their groups and the looks owed to groups. The protocol is explained in internal/temporal/doc.go.
-- Lock order: group (for no key update, skip locked), then wait (skip locked); nothing here ever blocks on
-- another evaluation.

-- name: WaitRegister :exec
select statek.register_wait(
  sqlc.arg(job)::uuid, sqlc.arg(cell)::integer, sqlc.arg(call)::integer, sqlc.arg(kind)::text, sqlc.arg(name)::text,
  sqlc.narg(due_at)::timestamptz, sqlc.narg(since)::timestamptz, sqlc.narg(hash)::bytea, sqlc.narg(prefix)::text,
  sqlc.narg(group_kind)::text, sqlc.narg(group_name)::text, sqlc.narg(temporal_id)::uuid, sqlc.narg(args)::text::json,
  sqlc.arg(deps)::text[], make_interval(secs => sqlc.narg(recheck_seconds)::double precision),
  sqlc.arg(now)::timestamptz);

-- name: WaitWithdraw :exec
select statek.withdraw_waits(sqlc.arg(job)::uuid, sqlc.arg(cell)::integer, sqlc.narg(calls)::integer[]);

-- name: WaitJoin :exec
select statek.join_waits(sqlc.arg(job)::uuid, sqlc.arg(cell)::integer, sqlc.arg(calls)::integer[], sqlc.arg(mode)::text);

-- name: WaitTakeMessage :one
select statek.take_message(sqlc.arg(job)::uuid, sqlc.arg(epoch)::bigint, sqlc.arg(owner)::uuid, sqlc.arg(cell)::integer,
  sqlc.arg(call)::integer)::boolean;

-- What has been won cannot time out any more: its competitors are gone, so nothing else would end the wait when the
-- winner dies before it records the message. Follows WaitTakeMessage in its transaction.
-- name: WaitKeepMessage :exec
update statek.waits
set due_at = null
where job_id = $1 and cell = $2 and call = $3 and set_id is null;

-- In the order given: of the members of a set the first is tried first.
-- name: WaitGroupsOf :many
select g.id
from unnest(sqlc.arg(hashes)::bytea[]) with ordinality as h(hash, n)
cross join lateral (select x.id from statek.wait_groups x where x.hash = h.hash offset 0) g
group by g.id
order by min(h.n);

-- The stamp must stay the only statement of its transaction that can take an xid: it is then younger than
-- the snapshot. In the SET list, because elsewhere the planner might evaluate it before there is a snapshot. A settle_xid from
-- the future came with a restored dump.
-- name: WaitStamp :execrows
update statek.wait_checks
set settle_xid = pg_current_xact_id()
where id = any(array(
  select c.id
  from statek.wait_checks c
  where c.settle_xid is null or c.settle_xid >= pg_snapshot_xmax(pg_current_snapshot())
  for update skip locked));

-- Temporals of embedding programs that this worker lacks are left to those that have them, and must not fill
-- up the limit. No row of the group: an orphan.
-- name: WaitGroupsSettled :many
select distinct due.group_id
from (
  select c.group_id
  from statek.wait_checks c
  cross join lateral ( -- a look-up each: as a join, few checks make a scan of all groups
    select x.id from statek.wait_groups x
    where x.id = c.group_id and (x.kind <> 'go' or x.name = any(sqlc.arg(known)::text[]))
    offset 0
  ) g
  where c.settle_xid <= pg_snapshot_xmin(pg_current_snapshot())
  order by c.settle_xid
  limit sqlc.arg(most)
) due
order by due.group_id;

-- name: WaitTemporal :one
select definition
from statek.temporals
where id = $1;

-- name: WaitCheckOwe :exec
insert into statek.wait_checks (group_id, settle_xid)
select sqlc.arg(group_id)::bigint, '0'
where not exists (select from statek.wait_checks where group_id = sqlc.arg(group_id)::bigint and settle_xid = '0');

-- What a look had taken out, for another one.
-- name: WaitCheckAgain :exec
insert into statek.wait_checks (group_id, settle_xid, dep, marked_at, marks)
values (sqlc.arg(id)::bigint, '0', sqlc.narg(dep)::text, sqlc.arg(at)::timestamptz, sqlc.arg(marks)::bigint::integer);

-- name: WaitChecksOwed :many
select distinct group_id from statek.wait_checks where group_id = any(sqlc.arg(ids)::bigint[]) and settle_xid = '0';

-- name: WaitGroupsVersions :many
select id, kind, temporal_id from statek.wait_groups where id = any(sqlc.arg(ids)::bigint[]);

-- name: WaitCheckOwed :one
select exists (select from statek.wait_checks where group_id = $1 and settle_xid = '0');

-- name: WaitResolveRow :exec
select statek.settle_waits(array[sqlc.arg(id)::bigint], array['resolved'],
  array[statek.row_json(sqlc.arg(names)::text[], sqlc.arg(types)::oid[], sqlc.arg(texts)::text[])]);

-- A row that a complement has claimed: if it cannot be given to the code, the claim fails.
-- name: WaitResolveClaim :exec
select statek.settle_waits(array[sqlc.arg(id)::bigint], array['resolved'],
  array[statek.claimed(statek.row_json(sqlc.arg(names)::text[], sqlc.arg(types)::oid[], sqlc.arg(texts)::text[]))]);

-- The same for a value of a complement in Go.
-- name: WaitResolveValue :exec
select statek.settle_waits(array[sqlc.arg(id)::bigint], array['resolved'], array[statek.claimed(sqlc.arg(value)::text::json)]);

-- name: WaitSettleAll :one
select coalesce(statek.settle_waits(sqlc.arg(ids)::bigint[], array_fill(sqlc.arg(kind)::text, array[cardinality(sqlc.arg(ids)::bigint[])]),
  array_fill(sqlc.arg(payload)::text::json, array[cardinality(sqlc.arg(ids)::bigint[])])), 0)::bigint as served;

-- name: WaitJobOutcome :one
select coalesce(o.kind, '')::text as kind, coalesce(o.payload, 'null')::json as payload
from statek.job_outcome(sqlc.arg(job)::uuid, sqlc.arg(prefix)::text) as o (kind, payload);

-- Writes what came of a look, if it says anything new, and the marks that led to it, for those who ask what touched the
-- group last.
-- name: WaitGroupRecord :exec
update statek.wait_groups
set retry_at = sqlc.narg(retry_at), attempts = sqlc.arg(attempts), last_result = sqlc.arg(result),
  last_error = sqlc.narg(error), last_at = sqlc.arg(now)::timestamptz,
  touched_dep = case when sqlc.arg(marks)::bigint > 0 then sqlc.arg(dep)::text else touched_dep end,
  touched_at = case when sqlc.arg(marks)::bigint > 0 then sqlc.arg(at)::timestamptz else touched_at end,
  touches = touches + sqlc.arg(marks)::bigint
where id = sqlc.arg(id)
  and (sqlc.arg(marks)::bigint > 0 or retry_at is not null or sqlc.narg(retry_at)::timestamptz is not null or attempts <> sqlc.arg(attempts)
    or last_result is distinct from sqlc.arg(result) or last_error is distinct from sqlc.narg(error)
    or last_at is null or last_at < sqlc.arg(now)::timestamptz - interval '10 seconds');

-- name: WaitGroupsRetry :many
select id
from statek.wait_groups
where retry_at <= sqlc.arg(now)::timestamptz and (kind <> 'go' or name = any(sqlc.arg(known)::text[]))
order by retry_at
limit sqlc.arg(most);

-- Groups that nobody owes a look, least recently seen first.
-- name: WaitGroupsQuiet :many
select x.id
from (
  (select g.id, g.last_at
    from statek.wait_groups g
    where g.retry_at is null and g.recheck is null and g.last_at is null
      and (g.kind <> 'go' or g.name = any(sqlc.arg(known)::text[]))
      and exists (select from statek.waits w where w.group_id = g.id)
      and not exists (select from statek.wait_checks c where c.group_id = g.id)
    limit sqlc.arg(most))
  union all
  (select g.id, g.last_at
    from statek.wait_groups g
    where g.retry_at is null and g.recheck is null and g.last_at < sqlc.arg(before)::timestamptz
      and (g.kind <> 'go' or g.name = any(sqlc.arg(known)::text[]))
      and exists (select from statek.waits w where w.group_id = g.id)
      and not exists (select from statek.wait_checks c where c.group_id = g.id)
    order by g.last_at
    limit sqlc.arg(most))) x
order by x.last_at nulls first
limit sqlc.arg(most);

-- name: WaitGroupsRead :many
select g.id, g.prefix, g.kind, g.temporal_id, g.args
from statek.wait_groups g
where g.id = any(sqlc.arg(ids)::bigint[])
order by g.id;

-- Groups that a sweep has asked about in vain. One that somebody looks at is left to them, and so is one that wants another look.
-- name: WaitGroupsSeen :exec
update statek.wait_groups g
set last_at = sqlc.arg(now)::timestamptz, last_result = 'idle'
where g.id = any(array(
  select x.id from statek.wait_groups x
  where x.id = any(sqlc.arg(ids)::bigint[]) and x.retry_at is null
  order by x.id
  for no key update skip locked));

-- Whether something already told, or is about to tell, to look at the group.
-- name: WaitGroupTold :one
select (exists (select from statek.wait_checks c where c.group_id = sqlc.arg(id)::bigint)
  or exists (
    select from statek.dirty d
    where d.below or d.dep in (select w.dep from statek.wait_deps w where w.group_id = sqlc.arg(id)::bigint)))::boolean;

-- name: WaitTimersFire :one
select coalesce(statek.fire_timers(sqlc.arg(now)::timestamptz, sqlc.arg(most)::integer), 0)::bigint as fired;

-- name: WaitNextDue :one
select least(
  (select min(w.due_at) from statek.waits w where w.due_at is not null),
  (select min(g.retry_at) from statek.wait_groups g where g.retry_at is not null))::timestamptz as due;

-- Locks groups that look unused. WaitGroupsDelete asks once more, in a later statement: a registration holds
-- the group's key share until its wait is committed, so whoever got the lock sees every wait there is.
-- name: WaitGroupsIdle :many
select g.id
from statek.wait_groups g
where g.id = any(sqlc.arg(among)::bigint[]) and (g.last_at is null or g.last_at < sqlc.arg(before)::timestamptz)
  and not exists (select from statek.waits w where w.group_id = g.id)
order by g.id
for update skip locked;

-- Looks at the groups after an id, and returns how many there were, the last of them, and those that look unused. A count of at
-- most one, where "exists" would read all waits for a hash.
-- name: WaitGroupsPage :one
select count(*)::integer as looked, coalesce(max(p.id), 0)::bigint as reached,
  coalesce(array_agg(p.id order by p.id) filter (where p.idle), '{}')::bigint[] as idle
from (
  select g.id, ((g.last_at is null or g.last_at < sqlc.arg(before)::timestamptz)
    and (select count(*) from (select from statek.waits w where w.group_id = g.id limit 1) one) = 0)::boolean as idle
  from statek.wait_groups g where g.id > sqlc.arg(after)::bigint order by g.id limit sqlc.arg(most)
) p;

-- name: WaitGroupsDelete :execrows
delete from statek.wait_groups g
where g.id = any(sqlc.arg(ids)::bigint[])
  and not exists (select from statek.waits w where w.group_id = g.id);

-- Checks that belong to no group, and facts that have expired.
-- name: WaitsExpire :exec
with orphans as (
  delete from statek.wait_checks
  where id = any(array(
    select c.id from statek.wait_checks c
    where not exists (select from statek.wait_groups g where g.id = c.group_id)
    for update of c skip locked))
)
delete from statek.facts
where id = any(array(
  select f.id from statek.facts f
  where f.expires_at <= sqlc.arg(now)::timestamptz
  order by f.expires_at
  limit sqlc.arg(most)
  for update skip locked));

-- What a tick has to do, for one round trip. The first of an index rather than exists: with poor statistics
-- exists becomes a scan of the table. Owners are few, however many jobs each has: one probe leads to the next.
-- name: WaitPending :one
with recursive owners as (
  (select s.owner from statek.job_state s where s.owner is not null order by s.owner limit 1)
  union all
  select (select s.owner from statek.job_state s where s.owner > o.owner order by s.owner limit 1) from owners o where o.owner is not null
)
select
  exists (select from statek.dirty)::boolean as dirty,
  exists (select from statek.wait_checks c where c.settle_xid is null)::boolean as unstamped,
  coalesce((select c.settle_xid <= pg_snapshot_xmin(pg_current_snapshot())
    from statek.wait_checks c where c.settle_xid is not null order by c.settle_xid limit 1), false)::boolean as settled,
  coalesce((select min(w.due_at) from statek.waits w where w.due_at is not null) <= sqlc.arg(now)::timestamptz, false)::boolean as due,
  coalesce((select min(g.retry_at) from statek.wait_groups g where g.retry_at is not null) <= sqlc.arg(now)::timestamptz, false)::boolean as retry,
  exists (select from owners o
    where o.owner is not null and not exists (select from statek.workers w where w.id = o.owner and w.dead_at is null))::boolean as orphans,
  -- JobsStray looks closer; here it is only whether there can be any
  (coalesce((select s.freed_at from statek.job_state s
      where s.owner is null and s.parked_on is null and s.wake_at is null and s.status in ('READY', 'WARMING_UP', 'STARTED')
      order by s.freed_at limit 1) < clock_timestamp() - interval '5 seconds', false)
    or (select m.id from statek.mailbox m order by m.id limit 1) is not null)::boolean as strays,
  (exists (select from statek.limits) or exists (select from statek.turns))::boolean as limits;

-- name: WatchFailures :one
select statek.watch_failed()::bigint;

-- name: WatchProblems :many
select p.relation::text as relation, p.key::text as key, p.problem::text as problem, p.remedy::text as remedy,
  p.fixable::boolean as fixable, p.serious::boolean as serious
from statek.watch_problems() as p (relation, key, problem, remedy, fixable, serious);
