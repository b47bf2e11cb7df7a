-- In the transaction that changes a tool or temporal.
-- name: CatalogGeneration :one
select generation from statek.catalog;

-- Visible from a prefix: the nearest ancestor's newest version of each name.

-- name: ToolsVisible :many
select distinct on (name) id, prefix, name, version, hash, definition
from statek.tools
where statek.covers(prefix, sqlc.arg(prefix)::text)
order by name, length(prefix) desc, version desc;

-- name: ToolAt :one
select id, version, hash, definition
from statek.tools
where prefix = sqlc.arg(prefix)::text and name = $1
order by version desc
limit 1;

-- name: ToolInsert :one
insert into statek.tools (prefix, name, version, hash, definition)
values (sqlc.arg(prefix)::text, $1, $2, $3, sqlc.arg(definition)::text::json)
returning id;

-- name: TemporalsVisible :many
select distinct on (name) id, prefix, name, version, hash, definition
from statek.temporals
where statek.covers(prefix, sqlc.arg(prefix)::text)
order by name, length(prefix) desc, version desc;

-- name: TemporalAt :one
select id, version, hash, definition
from statek.temporals
where prefix = sqlc.arg(prefix)::text and name = $1
order by version desc
limit 1;

-- name: TemporalInsert :one
insert into statek.temporals (prefix, name, version, hash, definition)
values (sqlc.arg(prefix)::text, $1, $2, $3, sqlc.arg(definition)::text::json)
returning id;

-- name: CheckGeneration :exec
select statek.check_generation(sqlc.arg(generation)::bigint);
