-- Objects: versioned JSON documents. Everything that changes one goes through statek.write_object.

-- name: ObjectGet :one
select o.version, o.value, o.created_at, o.updated_at, o.updated_by
from statek.objects o
where o.prefix = sqlc.arg(prefix)::text and o.collection = sqlc.arg(collection)::text and o.key = sqlc.arg(key)::text
  and o.value is not null;

-- An earlier version, or the newest; a deletion has no value.
-- name: ObjectGetVersion :one
select h.value, h.updated_at, h.updated_by
from (
  select o.prefix, o.collection, o.key, o.version, o.value, o.updated_at, o.updated_by from statek.objects o
  union all
  select v.prefix, v.collection, v.key, v.version, v.value, v.updated_at, v.updated_by from statek.object_versions v
) h
where h.prefix = sqlc.arg(prefix)::text and h.collection = sqlc.arg(collection)::text and h.key = sqlc.arg(key)::text
  and h.version = sqlc.arg(version)::bigint;

-- The document a patch is made for. No row: there has never been one, and nothing is locked.
-- name: ObjectLock :one
select o.version, o.value
from statek.objects o
where o.prefix = sqlc.arg(prefix)::text and o.collection = sqlc.arg(collection)::text and o.key = sqlc.arg(key)::text
for no key update;

-- name: ObjectWrite :one
select coalesce(w.version, 0)::bigint as version, coalesce(w.created, false)::boolean as created,
  coalesce(w.updated_at, statek.now())::timestamptz as updated_at
from statek.write_object(sqlc.arg(prefix)::text, sqlc.arg(collection)::text, sqlc.arg(key)::text, sqlc.narg(value)::text::json,
  sqlc.narg(expected)::bigint, sqlc.arg(by)::text) as w (version, created, updated_at);

-- A page: as many as fit into budget bytes, but at least one. Keys are in byte order, so those with a prefix lie
-- between it and it with the longest key of the highest character behind it; found counts one more than asked for.
-- name: ObjectsList :many
select p.key, p.version, p.value, p.updated_at, p.updated_by, p.found
from (
  select o.key, o.version, o.value, o.updated_at, o.updated_by, count(*) over () as found, row_number() over (order by o.key) as nth,
    sum(octet_length(o.value::text) + octet_length(o.key) + 100) over (order by o.key) as bytes
  from (
    select x.key, x.version, x.value, x.updated_at, x.updated_by
    from statek.objects x
    where x.prefix = sqlc.arg(prefix)::text and x.collection = sqlc.arg(collection)::text and x.value is not null
      and x.key > sqlc.arg(after)::text and x.key >= sqlc.arg(begins)::text
      and x.key <= sqlc.arg(begins)::text || repeat(chr(1114111), 128) and starts_with(x.key, sqlc.arg(begins)::text)
    order by x.key
    limit sqlc.arg(most)::integer + 1
  ) o
) p
where p.nth = 1 or p.nth <= sqlc.arg(most)::integer and p.bytes <= sqlc.arg(budget)::bigint
order by p.key;

-- Where an object is now; one that is gone without a trace was at most at its collection's floor.
-- name: ObjectVersion :one
select coalesce(
  (select o.version from statek.objects o
   where o.prefix = sqlc.arg(prefix)::text and o.collection = sqlc.arg(collection)::text and o.key = sqlc.arg(key)::text),
  (select c.floor from statek.object_collections c
   where c.prefix = sqlc.arg(prefix)::text and c.collection = sqlc.arg(collection)::text), 0)::bigint as version;

-- name: Snapshot :one
select pg_current_snapshot()::text as snapshot;

-- What an object has become since a version; no row: nothing new.
-- name: ObjectChanged :one
select n.version::bigint as version, n.value, n.updated_at::timestamptz as updated_at
from (
  select 1 as rank, o.version, o.value, o.updated_at from statek.objects o
  where o.prefix = sqlc.arg(prefix)::text and o.collection = sqlc.arg(collection)::text and o.key = sqlc.arg(key)::text
  union all
  select 2, c.floor, null, statek.now() from statek.object_collections c
  where c.prefix = sqlc.arg(prefix)::text and c.collection = sqlc.arg(collection)::text
  order by rank
  limit 1
) n
where n.version > sqlc.arg(since)::bigint;

-- What a collection has seen since a snapshot. The writes that it could not see are what is new, in whatever order
-- they were begun and committed. A snapshot from the future came with a restored dump: nobody knows, so look.
-- name: ObjectsChanged :one
select pg_current_snapshot()::text as now, count(*) > sqlc.arg(most)::integer as more,
  coalesce(json_agg(json_build_object('key', n.key, 'version', n.version, 'deleted', n.deleted) order by n.key)
    filter (where n.nth <= sqlc.arg(most)::integer), '[]')::text as changed,
  (count(*) > 0 or pg_snapshot_xmax(sqlc.arg(since)::text::pg_snapshot) > pg_snapshot_xmax(pg_current_snapshot()))::boolean as ready
from (
  select o.key, o.version, o.value is null as deleted, row_number() over (order by o.key) as nth
  from statek.objects o
  where o.prefix = sqlc.arg(prefix)::text and o.collection = sqlc.arg(collection)::text
    and o.xid >= pg_snapshot_xmin(sqlc.arg(since)::text::pg_snapshot)
    and not pg_visible_in_snapshot(o.xid, sqlc.arg(since)::text::pg_snapshot)
) n;

-- name: ObjectsCollect :one
select statek.collect_objects(sqlc.arg(before)::timestamptz, sqlc.arg(most)::integer)::bigint as gone;
