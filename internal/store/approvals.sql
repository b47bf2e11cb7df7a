-- Approvals: questions of jobs to people.

-- In the transaction that registers the wait.
-- name: ApprovalInsert :exec
insert into statek.approvals (job_id, cell, call, prefix, title, options, free_text, args, schema, data, assignee, expires_at)
select j.id, sqlc.arg(cell), sqlc.arg(call), j.prefix, sqlc.arg(title), sqlc.arg(options)::text::json, sqlc.arg(free_text),
  sqlc.narg(args)::text::json, sqlc.narg(schema)::text::json, sqlc.narg(data)::text::json, sqlc.narg(assignee), sqlc.narg(expires_at)
from statek.jobs j
where j.id = sqlc.arg(job)::uuid;

-- name: ApprovalGet :one
select id, job_id, cell, call, prefix, title, options, free_text, args, schema, data, assignee, status, decision, decided_by,
  created_at, expires_at, ended_at
from statek.approvals
where id = $1;

-- Newest first; before is the id of the last row of the previous page. Ids are times.
-- name: ApprovalsList :many
select id, job_id, cell, call, prefix, title, options, free_text, args, schema, data, assignee, status, decision, decided_by,
  created_at, expires_at, ended_at
from statek.approvals
where (sqlc.narg(status)::text is null or status = sqlc.narg(status)::text)
  and (sqlc.narg(assignee)::text is null or assignee = sqlc.narg(assignee)::text)
  and (sqlc.narg(job)::uuid is null or job_id = sqlc.narg(job)::uuid)
  and (sqlc.arg(prefix)::text = '/' or prefix = sqlc.arg(prefix)::text
    or prefix ~>=~ (sqlc.arg(prefix)::text || '/') and prefix ~<~ (sqlc.arg(prefix)::text || '0'))
  and (sqlc.narg(before)::uuid is null or id < sqlc.narg(before)::uuid)
order by id desc
limit sqlc.arg(most);

-- name: ApprovalDecide :one
select statek.decide(sqlc.arg(id)::uuid, sqlc.arg(decision)::text::json, sqlc.arg(by)::text)::json as value;
