-- Facts: what was emitted. Broadcast to the jobs that wait; each job gets a fact at most once.

-- name: FactEmit :one
select statek.emit(sqlc.arg(prefix)::text, sqlc.arg(name)::text, sqlc.arg(payload)::text::json, sqlc.narg(key)::text) as id;

-- Serves the waiters of an event group: to each the oldest fact it has not had, in the order of waiting. The
-- delivery decides: of two looks that give one job the same fact, the second finds its row taken and serves
-- nothing. Two waits of one job in this group get one fact each, in two looks. Arrays, where joins of what is thought to be one row
-- would go through all pairs.
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
sets as materialized (
  select s.id from statek.wait_sets s
  where s.id = any(array(select w.set_id from statek.waits w join eligible e on e.id = w.id where e.nth = 1 and w.set_id is not null))
  order by s.id
  for update skip locked
),
locked as materialized (
  select w.id
  from statek.waits w
  where w.id = any(array(select e.id from eligible e where e.nth = 1))
    and (w.set_id is null or w.set_id in (select s.id from sets s))
  order by w.id
  for update of w skip locked
),
delivered as (
  insert into statek.fact_deliveries (job_id, fact_id)
  select e.job_id, e.fact_id
  from eligible e
  where e.id = any(array(select l.id from locked l))
  order by e.job_id, e.fact_id
  on conflict do nothing
  returning job_id
),
served as (
  select e.id, e.payload, json_build_object('by', 'event', 'what', sqlc.arg(name)::text || coalesce('[' || e.key || ']', ''), 'fact', e.fact_id,
    'at', (extract(epoch from e.created_at) * 1000)::bigint) as evidence
  from eligible e
  where e.nth = 1 and e.id = any(array(select l.id from locked l)) and e.job_id = any(array(select d.job_id from delivered d))
)
select (select count(*) from eligible) as eligible, (select count(*) from locked) as locked,
  (select count(*) from eligible e where e.nth = 1) as firsts,
  coalesce((select statek.settle_waits(array_agg(s.id order by s.id), array_agg('resolved'::text), array_agg(s.payload order by s.id),
      array_agg(s.evidence order by s.id))
    from served s), 0)::bigint as served;

-- Whether FactsServe would find somebody to give a fact to. One probe for each waiter and prefix.
-- name: FactsReady :one
select count(*) > 0 as ready
from (
  select
  from statek.waits w
  join statek.jobs j on j.id = w.job_id
  cross join lateral (
    select
    from unnest(sqlc.arg(prefixes)::text[]) as a(prefix)
    cross join lateral (
      select
      from statek.facts y
      where y.prefix = a.prefix and y.name = sqlc.arg(name)::text
        and (sqlc.narg(key)::text is null or y.key = sqlc.narg(key)::text)
        and y.created_at >= coalesce(w.since, j.created_at)
        and y.expires_at > sqlc.arg(now)::timestamptz
        and not exists (select from statek.fact_deliveries d where d.job_id = w.job_id and d.fact_id = y.id)
      limit 1
    ) x
    limit 1
  ) f
  where w.group_id = sqlc.arg(group_id)
  limit 1
) one;
