-- Facts: what was emitted. Broadcast to the jobs that wait; each job gets a fact at most once.

-- name: FactEmit :one
select statek.emit(sqlc.arg(prefix)::text, sqlc.arg(name)::text, sqlc.arg(payload)::text::json, sqlc.narg(key)::text) as id;

-- Serves the waiters of an event group: to each the oldest fact it has not had, in the order of waiting. The
-- delivery decides: of two looks that give one job the same fact, the second finds its row taken and serves
-- nothing. Two waits of one job in this group get one fact each, in two looks.
-- name: FactsServe :one
with ready as materialized (
  select w.id, w.job_id, w.cell, w.call, f.fact_id, f.payload, f.key, f.created_at
  from statek.waits w
  join statek.jobs j on j.id = w.job_id
  cross join lateral (
    select x.fact_id, x.payload, x.key, x.created_at
    from unnest(sqlc.arg(prefixes)::text[]) as a(prefix)
    cross join lateral (
      select y.id as fact_id, y.payload, y.key, y.created_at
      from statek.facts y
      where y.prefix = a.prefix and y.name = sqlc.arg(name)::text
        and (sqlc.narg(key)::text is null or y.key = sqlc.narg(key)::text)
        and y.created_at >= coalesce(w.since, j.created_at)
        and y.expires_at > sqlc.arg(now)::timestamptz
        and not exists (select from statek.fact_deliveries d where d.job_id = w.job_id and d.fact_id = y.id)
      order by y.created_at, y.id
      limit 1
    ) x
    order by x.created_at, x.fact_id
    limit 1
  ) f
  where w.group_id = sqlc.arg(group_id)
  order by w.id
  limit sqlc.arg(most)
),
eligible as materialized (
  select r.*, row_number() over (partition by r.job_id order by r.id) as nth
  from ready r
),
locked as materialized (
  select w.id
  from statek.waits w
  where w.id = any(array(select e.id from eligible e where e.nth = 1))
  order by w.id
  for update skip locked
),
delivered as (
  insert into statek.fact_deliveries (job_id, fact_id)
  select e.job_id, e.fact_id
  from eligible e
  join locked l on l.id = e.id
  order by e.job_id, e.fact_id
  on conflict do nothing
  returning job_id, fact_id
),
gone as (
  delete from statek.waits w
  using eligible e, delivered d
  where w.id = e.id and e.nth = 1 and d.job_id = e.job_id and d.fact_id = e.fact_id
  returning w.id
),
mail as (
  insert into statek.mailbox (job_id, kind, cell, call, payload, evidence)
  select e.job_id, 'resolved', e.cell, e.call, e.payload, json_build_object('by', 'event',
    'what', sqlc.arg(name)::text || coalesce('[' || e.key || ']', ''), 'fact', e.fact_id, 'at', (extract(epoch from e.created_at) * 1000)::bigint)
  from eligible e
  join gone g on g.id = e.id
  order by e.id
  returning job_id
)
select (select count(*) from eligible) as eligible, (select count(*) from locked) as locked,
  (select count(*) from eligible e where e.nth = 1) as firsts,
  count(*) as served, (select statek.ring(array_agg(m.job_id), false) from mail m)::text as rung
from gone;

-- name: FactsExpire :execrows
delete from statek.facts
where id = any(array(
  select f.id from statek.facts f
  where f.expires_at <= sqlc.arg(now)::timestamptz
  order by f.expires_at
  limit sqlc.arg(most)
  for update skip locked));
