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
