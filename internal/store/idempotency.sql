-- name: IdempotencyTake :execrows
insert into statek.idempotency_keys (prefix, key, request, status, response)
values ($1, $2, $3, 0, 'null')
on conflict do nothing;

-- name: IdempotencyAnswer :exec
update statek.idempotency_keys
set status = $3, response = sqlc.arg(response)::text::json
where prefix = $1 and key = $2;

-- name: IdempotencyFind :one
select request, status, response from statek.idempotency_keys where prefix = $1 and key = $2;
