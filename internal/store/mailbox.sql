-- name: MailboxRead :many
select id, kind, cell, call, payload, created_at, evidence
from statek.mailbox
where job_id = $1
order by id;

-- name: MailboxConsume :exec
delete from statek.mailbox
where job_id = $1 and id = any(sqlc.arg(ids)::bigint[]);

-- name: MailboxPut :exec
insert into statek.mailbox (job_id, kind, payload)
values ($1, $2, sqlc.arg(payload)::text::json);

-- name: Ring :exec
select statek.ring(sqlc.arg(jobs)::uuid[], sqlc.arg(notify)::boolean);
