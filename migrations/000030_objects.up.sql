-- Objects: JSON documents by prefix, collection and key, each with a version that only grows. The decision in
-- docs/adr says why deleted ones stay for a while and what happens to their numbers.

create table statek.objects (
  prefix     statek.prefix_path not null,
  collection text not null check (collection ~ '^[a-zA-Z0-9_.-]{1,64}$'),
  key        text collate "C" not null check (octet_length(key) between 1 and 512 and key !~ '[\x01-\x1f\x7f]'),
  version    bigint not null check (version > 0),
  value      json,                                 -- null: deleted
  created_at timestamptz not null,
  updated_at timestamptz not null,
  updated_by text not null,                        -- 'job <id>/<cell>/<call>', 'sql <role>', 'api'
  xid        xid8 not null default pg_current_xact_id(), -- who has not seen this write? ask a snapshot
  primary key (prefix, collection, key)
);
create index objects_changes on statek.objects (prefix, collection, xid);
create index objects_deleted on statek.objects (updated_at) where value is null;

-- What a write replaced. The newest version is in objects alone.
create table statek.object_versions (
  prefix     text not null,
  collection text not null,
  key        text collate "C" not null,
  version    bigint not null,
  value      json,
  updated_at timestamptz not null,
  updated_by text not null,
  primary key (prefix, collection, key, version),
  foreign key (prefix, collection, key) references statek.objects on delete cascade
);

do $$
begin
  alter table statek.objects alter column value set compression lz4;
  alter table statek.object_versions alter column value set compression lz4;
exception when feature_not_supported then null;
end $$;

-- What differs from the defaults, and where a new object's versions begin.
create table statek.object_collections (
  prefix     statek.prefix_path not null,
  collection text not null,
  versions   integer not null default 20 check (versions between 0 and 10000), -- earlier ones kept per object
  max_bytes  integer not null default 1048576 check (max_bytes between 1 and 16777216),
  floor      bigint not null default 0, -- the highest version of an object that is gone without a trace
  primary key (prefix, collection)
);

-- Waits for an object are a kind of their own; whatever else is allowed stays so.
do $$
declare
  c record;
begin
  for c in
    select conrelid::regclass as relation, conname, pg_get_constraintdef(oid) as def from pg_constraint
    where conname in ('waits_kind_check', 'wait_groups_kind_check') and connamespace = 'statek'::regnamespace
  loop
    execute format('alter table %s drop constraint %I, add constraint %2$I %s', c.relation, c.conname,
      replace(c.def, '''sql''::text', '''sql''::text, ''object''::text'));
  end loop;
end $$;

create function statek.check_object(_prefix text, _collection text, _key text) returns void
  language plpgsql immutable
  set search_path = pg_catalog, pg_temp as $$
begin
  if _prefix is null or not (_prefix = '/' or _prefix ~ '^(/[a-zA-Z0-9_.-]{1,64}){1,16}$') then
    raise exception 'prefix % is not a path such as /acme/triage', coalesce(quote_literal(_prefix), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if _collection is null or _collection !~ '^[a-zA-Z0-9_.-]{1,64}$' then
    raise exception 'collection % must have 1 to 64 letters, digits, ''_'', ''.'' or ''-''', coalesce(quote_literal(left(_collection, 100)), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if _key is null or octet_length(_key) not between 1 and 512 or _key ~ '[\x01-\x1f\x7f]' then
    raise exception 'key % must have 1 to 512 bytes and no control characters', coalesce(quote_literal(left(_key, 100)), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
end $$;

-- The only way an object changes. A null value deletes; _expected is the version that must be there now (0: none,
-- -1: any, null: whatever). Deleting what is not there gives no version. The row's lock is held until the caller's
-- transaction ends, so versions are in commit order; the marks come last, in a statement younger than the write.
create function statek.write_object(_prefix text, _collection text, _key text, _value json, _expected bigint, _by text,
    out version bigint, out created boolean, out updated_at timestamptz)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
declare
  old record;
  here bigint;
  rules statek.object_collections;
begin
  perform statek.check_object(_prefix, _collection, _key);
  loop
    select o.* into old from statek.objects o
      where o.prefix = _prefix and o.collection = _collection and o.key = _key for no key update;
    here := case when old.value is null then 0 else old.version end;
    if _expected = -1 and here = 0 or _expected >= 0 and _expected <> here or _expected < -1 then
      raise exception 'object %/% %', _collection, _key, case
          when _expected < -1 then 'cannot be expected at version ' || _expected
          when here = 0 then 'is not there' else 'is at version ' || here end
          || case when _expected = 0 then ', expected none' when _expected > 0 then ', expected version ' || _expected else '' end
        using errcode = 'ST412', detail = here::text, hint = 'read it again and decide anew';
    end if;
    if _value is null and here = 0 then
      return;
    end if;
    -- After the lock: a collector that took the row away has left its version in floor.
    select * into rules from statek.object_collections c where c.prefix = _prefix and c.collection = _collection;
    if octet_length(_value::text) > coalesce(rules.max_bytes, 1048576) then
      raise exception 'the value of object %/% has % bytes, the limit is %', _collection, _key, octet_length(_value::text),
          coalesce(rules.max_bytes, 1048576)
        using errcode = 'ST413', hint = format('split it, or raise the limit: select statek.set_object_limits(%L, %L, max_bytes => …)', _prefix, _collection);
    end if;
    created := here = 0;
    updated_at := statek.now();
    if old.version is not null then
      insert into statek.object_versions (prefix, collection, key, version, value, updated_at, updated_by)
        values (_prefix, _collection, _key, old.version, old.value, old.updated_at, old.updated_by);
      delete from statek.object_versions v
        where v.prefix = _prefix and v.collection = _collection and v.key = _key
          and v.version <= old.version - coalesce(rules.versions, 20);
      version := old.version + 1;
      update statek.objects o
        set version = write_object.version, value = _value, updated_at = write_object.updated_at, updated_by = _by,
          created_at = case when created then write_object.updated_at else o.created_at end, xid = pg_current_xact_id()
        where o.prefix = _prefix and o.collection = _collection and o.key = _key;
      exit;
    end if;
    insert into statek.objects (prefix, collection, key, version, value, created_at, updated_at, updated_by)
      values (_prefix, _collection, _key, coalesce(rules.floor, 0) + 1, _value, updated_at, updated_at, _by)
      on conflict do nothing
      returning objects.version into version;
    exit when found; -- else somebody else has just made it
  end loop;
  perform statek.mark_fact(array['object:' || _prefix || ':' || _collection,
    'object:' || _prefix || ':' || _collection || ':' || statek.dep_key(_key)]);
end $$;
comment on function statek.write_object(text, text, text, json, bigint, text) is
  'For workers and the API: writes or deletes an object; raises ST412 when it is not at the expected version.';

create function statek.put_object(prefix text, collection text, key text, value json, expected bigint default null) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  if value is null then
    raise exception 'the value of an object must not be null; write ''null''::json, or use statek.delete_object'
      using errcode = 'invalid_parameter_value';
  end if;
  return (statek.write_object(prefix, collection, key, value, expected, 'sql ' || session_user)).version;
end $$;
comment on function statek.put_object(text, text, text, json, bigint) is
  'Writes an object and returns its version. expected: the version it must have now, 0: it must not exist (else ST412).';

create function statek.delete_object(prefix text, collection text, key text, expected bigint default null) returns bigint
  language sql volatile security definer
  set search_path = pg_catalog, pg_temp
  return (statek.write_object(prefix, collection, key, null, expected, 'sql ' || session_user)).version;
comment on function statek.delete_object(text, text, text, bigint) is
  'Deletes an object; returns the version of the deletion, null when there was nothing.';

create function statek.get_object(prefix text, collection text, key text)
  returns table (value json, version bigint, updated_at timestamptz, updated_by text)
  language sql stable security definer rows 1
  set search_path = pg_catalog, pg_temp
begin atomic
  select o.value, o.version, o.updated_at, o.updated_by from statek.objects o
  where o.prefix = get_object.prefix and o.collection = get_object.collection and o.key = get_object.key and o.value is not null;
end;
comment on function statek.get_object(text, text, text) is 'An object as it is now: one row, or none.';

create function statek.set_object_limits(prefix text, collection text, versions integer default null, max_bytes integer default null) returns void
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  perform statek.check_object(prefix, collection, 'x');
  if versions not between 0 and 10000 or max_bytes not between 1 and 16777216 then
    raise exception 'versions must be between 0 and 10000, max_bytes between 1 and 16777216' using errcode = 'invalid_parameter_value';
  end if;
  insert into statek.object_collections as c (prefix, collection, versions, max_bytes)
    values (set_object_limits.prefix, set_object_limits.collection, coalesce(set_object_limits.versions, 20), coalesce(set_object_limits.max_bytes, 1048576))
    on conflict on constraint object_collections_pkey do update
      set versions = coalesce(set_object_limits.versions, c.versions), max_bytes = coalesce(set_object_limits.max_bytes, c.max_bytes);
end $$;
comment on function statek.set_object_limits(text, text, integer, integer) is
  'How many earlier versions of each object a collection keeps (20), and how large a value may be (1 MiB). Null leaves one as it is.';

-- Takes out objects that were deleted before a time, and remembers their versions: a new object of that
-- collection begins above them.
create function statek.collect_objects(_before timestamptz, _most integer) returns bigint
  language sql volatile
  set search_path = pg_catalog, pg_temp
begin atomic
  with old as materialized (
    select o.prefix, o.collection, o.key from statek.objects o
    where o.value is null and o.updated_at < _before
    order by o.updated_at
    limit _most
    for update skip locked
  ),
  gone as (
    delete from statek.objects o using old
    where o.prefix = old.prefix and o.collection = old.collection and o.key = old.key
    returning o.prefix, o.collection, o.version
  ),
  floors as (
    insert into statek.object_collections as c (prefix, collection, floor)
    select g.prefix, g.collection, max(g.version) from gone g group by g.prefix, g.collection order by 1, 2
    on conflict (prefix, collection) do update set floor = greatest(c.floor, excluded.floor)
  )
  select count(*) from gone;
end;

create view statek.object_overview as
select o.prefix::text as prefix, o.collection, o.key, o.version, statek.readable(o.value) as value,
  octet_length(o.value::text) as bytes, o.created_at as created, o.updated_at as updated, o.updated_by,
  (select count(*) from statek.object_versions v where v.prefix = o.prefix and v.collection = o.collection and v.key = o.key) as earlier
from statek.objects o
where o.value is not null;
comment on view statek.object_overview is 'One row per object that exists.';
comment on column statek.object_overview.updated_by is 'Who wrote this version: job <id>/<cell>/<call>, sql <role>, or api.';
comment on column statek.object_overview.earlier is 'How many earlier versions are kept; see object_history.';

create view statek.object_history as
select h.prefix, h.collection, h.key, h.version, h.value is null as deleted, statek.readable(h.value) as value, h.updated_at as at, h.updated_by as by
from (
  select o.prefix::text as prefix, o.collection, o.key, o.version, o.value, o.updated_at, o.updated_by from statek.objects o
  union all
  select v.prefix, v.collection, v.key, v.version, v.value, v.updated_at, v.updated_by from statek.object_versions v
) h;
comment on view statek.object_history is 'The versions of objects that are kept, deletions included.';

revoke execute on function statek.put_object(text, text, text, json, bigint), statek.delete_object(text, text, text, bigint),
  statek.get_object(text, text, text), statek.set_object_limits(text, text, integer, integer) from public;
