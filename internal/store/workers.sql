-- Liveness uses clock_timestamp(): a frozen statek.now() must never freeze it.

-- name: WorkerRegister :exec
insert into statek.workers (id, host, pid, version, prefixes)
values ($1, $2, $3, $4, $5);

-- name: WorkerGone :exec
delete from statek.workers where id = $1;

-- The one statement of the heartbeat: says "I live" and returns what the database thinks I own.
-- name: WorkerTick :one
with beat as (
  update statek.workers set beat_at = clock_timestamp()
  where id = sqlc.arg(worker)::uuid and dead_at is null
  returning id
)
select
  exists (select from beat)::boolean as alive,
  coalesce((select array_agg(s.job_id) from statek.job_state s where s.owner = sqlc.arg(worker)::uuid), '{}')::uuid[] as owned,
  coalesce((select array_agg(s.epoch) from statek.job_state s where s.owner = sqlc.arg(worker)::uuid), '{}')::bigint[] as epochs,
  coalesce((select array_agg(s.job_id) from statek.job_state s where s.owner = sqlc.arg(worker)::uuid and s.rung), '{}')::uuid[] as rung,
  coalesce((select min(s.wake_at) from statek.job_state s) <= statek.now() + interval '1 second', false)::boolean as wakes,
  coalesce((select array_agg(w.id) from statek.workers w
    where w.dead_at is null and w.beat_at < clock_timestamp() - make_interval(secs => sqlc.arg(dead_after_seconds)::float8)), '{}')::uuid[] as silent;

-- name: WorkersBury :many
update statek.workers set dead_at = clock_timestamp()
where id = any(sqlc.arg(ids)::uuid[]) and dead_at is null
  and beat_at < clock_timestamp() - make_interval(secs => sqlc.arg(dead_after_seconds)::float8)
returning id;

-- Takes everything from workers that are dead or gone, and rings it.
-- name: JobsTakeOver :one
with taken as (
  update statek.job_state s
  set epoch = s.epoch + 1, owner = null, taken_from = s.owner, rung = false, freed_at = statek.now()
  where s.owner is not null
    and not exists (select from statek.workers w where w.id = s.owner and w.dead_at is null)
  returning s.job_id
)
select count(*)::integer as jobs, (statek.ring(array_agg(job_id)) is null)::boolean as nothing from taken;

-- What nobody needs. Doorbells that died with their worker between fetch and claim: rings are cheap, so the rows just go; the
-- jobs are found by JobsStray. Workers that died an hour ago, and keys of a day ago. One statement, of which none of several
-- workers waits for another: each leaves what is locked.
-- name: Tidy :exec
with doorbells as (
  delete from river.river_job
  where id = any(array(
    select j.id from river.river_job j
    where j.state = 'running'
      and not exists (
        select from statek.workers w
        where w.id::text = j.attempted_by[array_upper(j.attempted_by, 1)] and w.dead_at is null)
    for update of j skip locked))
), workers as (
  delete from statek.workers
  where id = any(array(select w.id from statek.workers w where w.dead_at < clock_timestamp() - interval '1 hour' for update skip locked))
)
delete from statek.idempotency_keys
where ctid = any(array(
  select k.ctid from statek.idempotency_keys k where k.created_at < statek.now() - interval '24 hours' for update skip locked));

-- Jobs that nobody owns although they have work. A job that was free before the oldest doorbell still in the
-- queue was rung has lost its own; one that became free later may simply be waiting its turn. Mail is looked at in pages,
-- by id: a mailbox may hold much that its sleeping jobs have not asked for.
-- name: JobsStray :one
with horizon as (
  select least(clock_timestamp() - interval '5 seconds',
    -- the heads of our queues, in the order of River's fetch index
    (select scheduled_at - interval '5 seconds' from river.river_job where state = 'available' and queue = 'default'
     order by priority, scheduled_at, id limit 1),
    (select scheduled_at - interval '5 seconds' from river.river_job where state = 'available' and queue = 'crowd'
     order by priority, scheduled_at, id limit 1),
    -- and those of crowds that a worker holds while it has no room
    (select scheduled_at - interval '5 seconds' from river.river_job where state = 'running' and queue = 'crowd'
     order by priority, scheduled_at, id limit 1)) as at
), page as materialized (
select m.id, m.job_id, m.kind, m.created_at from statek.mailbox m where m.id > sqlc.arg(after)::bigint order by m.id limit sqlc.arg(max_mail)::integer
), stray as (
select s.job_id
from statek.job_state s
where s.owner is null and s.parked_on is null and s.wake_at is null
  and s.status in ('READY', 'WARMING_UP', 'STARTED') and s.freed_at < (select h.at from horizon h)
union -- mail, except messages to jobs that rest for another reason: they are read when that is over
select s.job_id
from page m
cross join lateral (
  select x.job_id from statek.job_state x
  where x.job_id = m.job_id and x.owner is null and x.parked_on is null
    and (m.kind <> 'message' or x.blocked_on like '%message%' or x.status not in ('SUSPENDED', 'PAUSED') and x.wake_at is null)
  offset 0
) s
where m.created_at < (select h.at from horizon h)
limit sqlc.arg(max_jobs)::integer
)
select count(*)::integer as jobs, (statek.ring(array_agg(job_id)) is null)::boolean as nothing,
  coalesce((select max(p.id) from page p having count(*) = sqlc.arg(max_mail)::integer), 0)::bigint as reached -- 0: the last page
from stray;

-- name: WorkersAlive :one
select count(*) from statek.workers where dead_at is null and beat_at > clock_timestamp() - interval '5 seconds';

-- name: EnsurePartitions :exec
select statek.ensure_partitions();
