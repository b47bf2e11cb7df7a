-- name: UsageInsert :exec
insert into statek.usage (job_id, seq, at, provider, model, input_tokens, cached_tokens, output_tokens, cost, attempts)
values ($1, $2, $3, $4, $5, $6, $7, $8, nullif(sqlc.arg(cost)::text, '')::numeric, sqlc.arg(attempts)::integer);
