-- The hot row: one UPDATE per commit, all guarded by (job, epoch, owner) inside SQL.

-- name: JobRelease :one
select statek.release(sqlc.arg(job)::uuid, sqlc.arg(epoch)::bigint, sqlc.arg(owner)::uuid)::boolean as released;

-- Before the mailbox is read again: a ring that comes after this statement is seen by the next release.
-- name: JobClearRung :exec
update statek.job_state
set rung = false
where job_id = $1 and epoch = $2 and owner is not distinct from $3;

-- Gives the job up although it has work: the caller rings it in the same transaction.
-- name: JobHandOver :execrows
update statek.job_state
set owner = null, rung = false, freed_at = statek.now()
where job_id = $1 and epoch = $2 and owner is not distinct from $3;

-- name: JobInsertState :exec
insert into statek.job_state (job_id, status, core, seq, wake_at, blocked_on, blocked_why)
values (sqlc.arg(job)::uuid, 'READY', sqlc.arg(core)::text::json, 1, sqlc.narg(wake_at), sqlc.narg(blocked_on), sqlc.narg(blocked_why));

-- What a claim needs, in snapshots taken after the claim; mail, variables and the open cell go with it.
-- name: JobsLoad :many
select j.id, j.prefix, j.role, j.agent_id, j.agent_version, j.spec, j.locale, j.source, j.created_at,
  s.core, s.seq, s.epoch, s.owner, c.generation
from unnest(sqlc.arg(jobs)::uuid[]) as u(id)
cross join lateral (select * from statek.jobs x where x.id = u.id offset 0) j -- one look-up for each, whatever the statistics say
cross join lateral (select * from statek.job_state x where x.job_id = u.id offset 0) s
cross join statek.catalog c;

-- Rings the jobs whose own timer has come. A job that sleeps until a call's next attempt has no other sign of its work,
-- should this ring be lost: its timer goes off again until its owner's commit sets it anew.
-- name: JobsWakeDue :one
with woken as (
  update statek.job_state
  set wake_at = case when status = 'SUSPENDED' then statek.now() + interval '10 seconds' end
  where job_id = any(array(
    select job_id from statek.job_state
    where wake_at <= statek.now()
    order by wake_at
    limit sqlc.arg(max_jobs)::integer
    for update skip locked))
  returning job_id
)
select count(*)::integer as jobs, (statek.ring(array_agg(job_id)) is null)::boolean as nothing from woken;
