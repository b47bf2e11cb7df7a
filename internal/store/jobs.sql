-- name: JobInsert :one
insert into statek.jobs (id, prefix, agent_id, role, agent_version, source, locale, tags, key, open_key, priority, spec, created_at)
values ($1, sqlc.arg(prefix)::text, $2, $3, $4, $5, $6, $7, $8, $8, $9, sqlc.arg(spec)::text::json, $10)
on conflict (prefix, role, open_key) where open_key is not null do nothing
returning id;

-- name: JobByOpenKey :one
select id from statek.jobs
where prefix = sqlc.arg(prefix)::text and role = $1 and open_key = $2;

-- name: JobsRead :many
select j.id, j.prefix, j.role, j.agent_version, s.status, s.outcome,
  coalesce(case when s.parked_on is null then s.blocked_on else 'place' end, '')::text as blocked_on,
  coalesce(case when s.parked_on is null then s.blocked_why else statek.parked_why(s.parked_on) end, '')::text as blocked_why, s.result, s.error,
  j.source, j.locale, j.tags, j.key, j.priority, s.core, j.created_at, s.changed_at, s.finished_at, s.owner
from unnest(sqlc.arg(ids)::uuid[]) as u(id)
cross join lateral (select * from statek.jobs x where x.id = u.id offset 0) j -- one look-up for each, whatever the statistics say
cross join lateral (select * from statek.job_state x where x.job_id = u.id offset 0) s;

-- One: with a list its generic plan would be dearer than the custom ones, and each look be planned anew.
-- name: JobRead :one
select j.id, j.prefix, j.role, j.agent_version, s.status, s.outcome,
  coalesce(case when s.parked_on is null then s.blocked_on else 'place' end, '')::text as blocked_on,
  coalesce(case when s.parked_on is null then s.blocked_why else statek.parked_why(s.parked_on) end, '')::text as blocked_why, s.result, s.error,
  j.source, j.locale, j.tags, j.key, j.priority, s.core, j.created_at, s.changed_at, s.finished_at, s.owner
from statek.jobs j
join statek.job_state s on s.job_id = sqlc.arg(id)::uuid
where j.id = sqlc.arg(id)::uuid;

-- Newest first: ids are UUIDv7, so the cursor is the last id.
-- name: JobsList :many
select j.id, j.prefix, j.role, j.agent_version, s.status, s.outcome,
  coalesce(case when s.parked_on is null then s.blocked_on else 'place' end, '')::text as blocked_on,
  coalesce(case when s.parked_on is null then s.blocked_why else statek.parked_why(s.parked_on) end, '')::text as blocked_why, s.result, s.error,
  j.source, j.locale, j.tags, j.key, j.priority, s.core, j.created_at, s.changed_at, s.finished_at, s.owner
from statek.jobs j
join statek.job_state s on s.job_id = j.id
where (sqlc.narg(before)::uuid is null or j.id < sqlc.narg(before)::uuid)
  and (sqlc.narg(prefix)::text is null or statek.covers(sqlc.narg(prefix)::text, j.prefix))
  and (sqlc.narg(role)::text is null or j.role = sqlc.narg(role)::text)
  and (sqlc.narg(status)::text is null or s.status = sqlc.narg(status)::text)
  and (sqlc.narg(blocked_on)::text is null or case when s.parked_on is null then s.blocked_on else 'place' end = sqlc.narg(blocked_on)::text)
  and (sqlc.narg(tag)::text is null or j.tags @> array[sqlc.narg(tag)::text])
  and (sqlc.narg(source)::text is null or j.source = sqlc.narg(source)::text)
  and (sqlc.narg(created_after)::timestamptz is null or j.created_at >= sqlc.narg(created_after)::timestamptz)
  and (sqlc.narg(created_before)::timestamptz is null or j.created_at < sqlc.narg(created_before)::timestamptz)
order by j.id desc
limit sqlc.arg(max_rows)::integer;

-- name: JobExists :one
select exists (select from statek.jobs where id = $1);

-- name: JobStatus :one
select status, outcome, seq from statek.job_state where job_id = $1;
