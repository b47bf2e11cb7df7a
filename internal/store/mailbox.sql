-- name: MailboxOf :many
select m.job_id, m.id, m.kind, m.cell, m.call, m.payload, m.created_at, m.evidence
from unnest(sqlc.arg(jobs)::uuid[]) as u(id)
cross join lateral (select * from statek.mailbox x where x.job_id = u.id offset 0) m
order by m.job_id, m.id;

-- name: Ring :exec
select statek.ring(sqlc.arg(jobs)::uuid[], sqlc.arg(notify)::boolean);
