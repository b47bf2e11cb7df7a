-- The nearest ancestor that has the role wins; there its highest version.
-- name: AgentFind :one
select id, prefix, role, version, hash, definition, created_at
from statek.agents
where role = $1 and statek.covers(prefix, sqlc.arg(prefix)::text)
order by length(prefix) desc, version desc
limit 1;

-- name: AgentByID :one
select id, prefix, role, version, hash, definition, created_at
from statek.agents
where id = $1;

-- name: AgentsList :many
select distinct on (prefix, role) id, prefix, role, version, hash, definition, created_at
from statek.agents
where statek.covers(sqlc.arg(prefix)::text, prefix) or statek.covers(prefix, sqlc.arg(prefix)::text)
order by prefix, role, version desc;

-- name: AgentAt :one
select id, version, hash, definition
from statek.agents
where prefix = sqlc.arg(prefix)::text and role = $1
order by version desc
limit 1;

-- name: AgentInsert :one
insert into statek.agents (prefix, role, version, hash, definition)
values (sqlc.arg(prefix)::text, $1, $2, $3, sqlc.arg(definition)::text::json)
returning id, created_at;

-- name: PrefixEnsure :exec
insert into statek.prefixes (path) values (sqlc.arg(path)::text) on conflict do nothing;
