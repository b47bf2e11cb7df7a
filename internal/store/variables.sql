-- A cell that writes a variable closes the current row, then adds its own.

-- name: VariablesClose :exec
update statek.variables
set cell_to = sqlc.arg(cell)::integer
where job_id = $1 and name = any(sqlc.arg(names)::text[]) and cell_to is null;

-- name: VariablesInsert :exec
insert into statek.variables (job_id, name, cell_from, value, type, bytes, refused)
select sqlc.arg(job)::uuid, (sqlc.arg(names)::text[])[i], sqlc.arg(cell)::integer, nullif((sqlc.arg(vals)::text[])[i], '')::json,
  (sqlc.arg(types)::text[])[i], octet_length((sqlc.arg(vals)::text[])[i]), nullif((sqlc.arg(refusals)::text[])[i], '')
from generate_subscripts(sqlc.arg(names)::text[], 1) as i;

-- name: VariablesCurrent :many
select name, cell_from, value, type, bytes, refused
from statek.variables
where job_id = $1 and cell_to is null
order by name;

-- name: VariablesOf :many
select job_id, name, value, type, refused
from statek.variables
where job_id = any(sqlc.arg(jobs)::uuid[]) and cell_to is null
order by job_id, name;

-- The workspace after a given cell.
-- name: VariablesAt :many
select name, cell_from, value, type, bytes, refused
from statek.variables
where job_id = $1 and cell_from <= sqlc.arg(cell)::integer and (cell_to is null or cell_to > sqlc.arg(cell)::integer)
order by name;
