-- name: CounterAdd :exec
insert into statek.counters as c (name, n, note)
values (sqlc.arg(name), sqlc.arg(n), sqlc.arg(note)::text)
on conflict (name) do update set n = c.n + excluded.n, at = clock_timestamp(), note = excluded.note;

-- name: CounterRead :one
select n, at, coalesce(note, '')::text as note
from statek.counters
where name = $1;

-- name: WaitAlarms :one
select statek.watch_failed()::bigint as failed_marks,
  coalesce((select c.n from statek.counters c where c.name = 'sweep_caught'), 0)::bigint as caught;

-- name: AttemptCounts :one
select coalesce((select c.n from statek.counters c where c.name = 'wasted_replies'), 0)::bigint as wasted,
  coalesce((select sum(u.attempts - 1) from statek.usage u where u.attempts > 1), 0)::bigint as retries;
