-- Limits of how many jobs run at once; see the migration that makes them.

-- name: SeatsVacate :one
select statek.vacate(sqlc.arg(job)::uuid)::integer as called;

-- name: SeatsSweep :one
select statek.sweep_seats()::integer as called;

-- name: LimitSet :one
select statek.set_limit(sqlc.arg(prefix)::text, sqlc.narg(role)::text, sqlc.narg(most)::integer)::boolean as changed;

-- name: LimitsList :many
select l.prefix::text as prefix, coalesce(l.role, '')::text as role, l.most, statek.seats_taken(l.key)::integer as running,
  (select count(*) from statek.parked p where p.key = l.key)::integer as parked
from statek.limits l
where statek.covers(l.prefix, sqlc.arg(prefix)::text) or statek.covers(sqlc.arg(prefix)::text, l.prefix)
order by l.prefix, l.role nulls first;

-- Jobs of a prefix that have work and are nobody's, counted up to a number.
-- name: JobsQueued :one
select count(*)::integer as queued
from (
  select from statek.jobs j
  join statek.job_state s on s.job_id = j.id
  where j.prefix = sqlc.arg(prefix)::text and s.owner is null and s.wake_at is null and s.status in ('READY', 'WARMING_UP', 'STARTED')
  limit sqlc.arg(most)::integer
) q;
