-- name: HistoryAfter :many
select seq, kind, cell, call, at, payload
from statek.history
where job_id = $1 and seq > $2
order by seq
limit sqlc.arg(max_rows)::integer;

-- What a replay of the open cell needs. The row that started it bounds what is read: it must not grow with the
-- cells before.
-- name: HistoryOfCell :many
select seq, kind, cell, call, at, payload
from statek.history
where job_id = $1 and seq >= sqlc.arg(since) and cell = $2 and kind in ('cell_started', 'call_issued', 'waits_joined', 'call_settled', 'called', 'console', 'suspended', 'value_discarded')
order by seq;

-- The open cells of those jobs that sleep: from the row that started the last cell.
-- name: HistoryOfSleepers :many
select h.job_id, h.seq, h.kind, h.cell, h.call, h.at, h.payload
from unnest(sqlc.arg(jobs)::uuid[]) as u(id)
cross join lateral (select x.job_id from statek.job_state x where x.job_id = u.id and x.status = 'SUSPENDED' offset 0) s
cross join lateral (
  select b.seq, b.cell
  from statek.history b
  where b.job_id = s.job_id and b.kind = 'cell_started'
  order by b.seq desc
  limit 1
) started
cross join lateral (
  select x.job_id, x.seq, x.kind, x.cell, x.call, x.at, x.payload
  from statek.history x
  where x.job_id = s.job_id and x.seq >= started.seq and x.cell = started.cell
    and x.kind in ('cell_started', 'call_issued', 'waits_joined', 'call_settled', 'called', 'console', 'suspended', 'value_discarded')
  offset 0
) h
order by h.job_id, h.seq;

-- What the model may be shown.
-- name: HistoryForModel :many
select seq, kind, cell, call, at, payload
from statek.history
where job_id = $1
  and kind in ('cell_started', 'console', 'cell_ended', 'call_issued', 'call_settled', 'called', 'model_replied', 'message_received', 'value_discarded', 'finished', 'resumed')
order by seq;

-- name: HistoryLastReply :one
select seq, kind, cell, call, at, payload
from statek.history
where job_id = $1 and kind = 'model_replied'
order by seq desc
limit 1;

-- name: HistoryInsertFirst :exec
insert into statek.history (job_id, seq, kind, at, payload)
values ($1, 1, 'submitted', $2, sqlc.arg(payload)::text::json);

-- name: HistoryWithText :many
select seq, kind, cell, call, at, payload, what
from statek.history_entries
where job_id = $1 and seq > $2
order by seq
limit sqlc.arg(max_rows)::integer;
