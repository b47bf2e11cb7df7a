-- name: MailboxRead :many
select id, kind, cell, call, payload, created_at, evidence
from statek.mailbox
where job_id = $1
order by id;

-- name: MailboxOf :many
select job_id, id, kind, cell, call, payload, created_at, evidence
from statek.mailbox
where job_id = any(sqlc.arg(jobs)::uuid[])
order by job_id, id;

-- name: MailboxPut :exec
insert into statek.mailbox (job_id, kind, payload)
values ($1, $2, sqlc.arg(payload)::text::json);

-- name: Ring :exec
select statek.ring(sqlc.arg(jobs)::uuid[], sqlc.arg(notify)::boolean);
