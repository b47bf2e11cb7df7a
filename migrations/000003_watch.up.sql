-- What application transactions run: the marks that their writes leave, and emit. Everything here must be
-- fast, must probe only wait_deps, and must never block or fail the application's write.
--
-- A dep names data that a condition reads:
--   app.tasks:<key>          rows of app.tasks whose key column is <key>
--   app.tasks:*              any row of app.tasks (a watch without a key)
--   fact:/acme/dev:<name>    facts of that name emitted at that prefix
--   fact:/acme/dev:<name>#<key>

-- A key as it stands in a dep: its text, or a digest of it where an index entry could get too long.
create function statek.dep_key(_key text) returns text
  language sql immutable strict parallel safe
  return case when octet_length(_key) > 200 then '#' || md5(_key) else _key end;

-- Counts marks that failed. A sequence, because its steps survive the transaction and lock nothing.
create sequence statek.watch_failures;

-- How many marks have failed so far.
create function statek.watch_failed() returns bigint
  language sql stable
  return (select case when s.is_called then s.last_value else 0 end from statek.watch_failures s);

-- Registers one wait. One statement of the commit's pipeline; the group's key share lock keeps the group
-- from being collected until this transaction ends, and conflicts with no evaluation. Callers register in
-- the order of hashes: two commits creating the same groups in different orders would deadlock.
create function statek.register_wait(
  _job uuid, _cell integer, _call integer, _kind text, _name text, _due_at timestamptz, _since timestamptz,
  _hash bytea default null, _prefix text default null, _group_kind text default null, _group_name text default null,
  _temporal uuid default null, _args json default null, _deps text[] default null, _recheck interval default null,
  _now timestamptz default null
) returns void
  language plpgsql volatile
  set enable_seqscan = off as $$ -- a plan made while the tables were small must stay good
declare
  grp bigint;
begin
  if _hash is not null then
    loop
      select id into grp from statek.wait_groups where hash = _hash for key share;
      exit when found;
      insert into statek.wait_groups (prefix, kind, name, temporal_id, args, hash, recheck, retry_at)
      values (_prefix, _group_kind, _group_name, _temporal, _args, _hash, _recheck, _now + _recheck)
      on conflict (hash) do nothing
      returning id into grp;
      if found then
        insert into statek.wait_deps (dep, group_id) select distinct d, grp from unnest(_deps) d;
        exit;
      end if;
    end loop;
    insert into statek.wait_checks (group_id) values (grp);
  end if;
  insert into statek.waits (job_id, cell, call, kind, name, group_id, due_at, since)
  values (_job, _cell, _call, _kind, _name, grp, _due_at, _since);
end $$;

-- The value of a wait: one row as an object of its columns, each turned into JSON by its own type, so that
-- numbers, times and arrays come out as to_json writes them.
create function statek.row_json(_names text[], _types oid[], _values text[]) returns json
  language plpgsql stable as $$
declare
  list text;
  result json;
begin
  select string_agg(format('$1[%s]::%s as %I', i, format_type(_types[i], null), _names[i]), ', ' order by i)
    into list
  from generate_subscripts(_names, 1) i;
  execute format('select row_to_json(r) from (select %s) r', list) into result using _values;
  return result;
end $$;

-- Marks a fact's deps. In READ COMMITTED the probe is a statement younger than this transaction's xid.
create function statek.mark_fact(_deps text[]) returns void
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off as $$
begin
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    insert into statek.dirty (dep) select d from unnest(_deps) d;
    return;
  end if;
  insert into statek.dirty (dep)
  select d
  from unnest(_deps) d
  join lateral (select true from statek.wait_deps w where w.dep = d limit 1) x on true;
  if found then
    perform pg_notify('statek_dirty', '');
  end if;
end $$;

-- Emits a fact: the jobs at _prefix and below that wait for the event get it. A fact with a key is
-- first-write-wins; null says that it already existed.
create function statek.emit(_prefix text, _name text, _payload json default 'null', _key text default null) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  fact bigint;
  dep text;
begin
  if _prefix is null or not (_prefix = '/' or _prefix ~ '^(/[a-zA-Z0-9_.-]{1,64}){1,16}$') then
    raise exception 'prefix % is not a path such as /acme/triage', coalesce(quote_literal(_prefix), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if _name is null or length(_name) not between 1 and 200 then
    raise exception 'the name of an event must have 1 to 200 characters' using errcode = 'invalid_parameter_value';
  end if;
  if length(_key) not between 1 and 1000 then
    raise exception 'the key of an event must have 1 to 1000 characters, or be null' using errcode = 'invalid_parameter_value';
  end if;
  insert into statek.facts (prefix, name, key, payload)
  values (_prefix, _name, _key, coalesce(_payload, 'null'))
  on conflict (prefix, name, key) where key is not null do nothing
  returning id into fact;
  if fact is null then
    return null;
  end if;
  dep := 'fact:' || _prefix || ':' || _name;
  perform statek.mark_fact(case when _key is null then array[dep] else array[dep, dep || '#' || statek.dep_key(_key)] end);
  return fact;
end $$;

-- The types whose text is the same for equal values. Only these can be keys: a numeric 5 and 5.00 are
-- equal to a condition, but would be two keys.
create function statek.key_type_ok(_type oid, _collation oid) returns boolean
  language sql stable parallel safe
  return (
    with recursive base(oid) as (
      select _type
      union all
      select t.typbasetype from pg_type t join base b on b.oid = t.oid where t.typtype = 'd'
    )
    select coalesce(bool_or(
        t.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype, 'int2'::regtype, 'int4'::regtype,
                  'int8'::regtype, 'uuid'::regtype, 'bool'::regtype)
        or t.typtype = 'e'), false)
      and coalesce((select c.collisdeterministic from pg_collation c where c.oid = _collation), true)
    from pg_type t join base b on b.oid = t.oid
  );

-- The relation and all that inherits from it: a write straight into a partition fires its triggers only.
create function statek.watched_relations(_relation regclass) returns table (relation regclass, partition boolean)
  language sql stable as $$
  with recursive tree(oid) as (
    select _relation::oid
    union
    select i.inhrelid from pg_inherits i join tree t on t.oid = i.inhparent
  )
  select c.oid::regclass, c.relispartition
  from tree t join pg_class c on c.oid = t.oid
  where c.relkind in ('r', 'p')
$$;

-- The name that deps use for a relation.
create function statek.dep_relation(_relation regclass) returns text
  language sql stable strict
  return (select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = _relation);

create function statek.watch_name(_relation text, _key text) returns text
  language sql immutable parallel safe
  return 'statek_' || substr(md5(_relation || ':' || coalesce(_key, '')), 1, 16);

-- The text of the trigger function of one watch. It is generated so that its few statements are planned
-- once. What must hold, and what happens when it does not, is in internal/temporal/doc.go.
create function statek.watch_function(_relation text, _key text, _notify boolean) returns text
  language plpgsql stable as $$
declare
  pick text;
begin
  if _key is null then
    pick := format($f$
    if TG_OP = 'TRUNCATE' then hit := true;
    elsif TG_OP = 'DELETE' then select true into hit from old_t limit 1;
    else select true into hit from new_t limit 1;
    end if;
    if hit then deps := array[%1$L]; end if;$f$, _relation || ':*');
  else
    pick := format($f$
    if TG_OP = 'TRUNCATE' then
      if blind then
        insert into statek.dirty (dep, below) values (%1$L, true);
      else
        insert into statek.dirty (dep)
        select distinct w.dep from statek.wait_deps w
        where w.dep >= %1$L collate "C" and w.dep < %2$L collate "C";
        %3$s
      end if;
      return null;
    elsif TG_OP = 'INSERT' then
      select array_agg(distinct %1$L || statek.dep_key(n.%4$I::text)) into deps from new_t n where n.%4$I is not null;
    elsif TG_OP = 'DELETE' then
      select array_agg(distinct %1$L || statek.dep_key(o.%4$I::text)) into deps from old_t o where o.%4$I is not null;
    else
      select array_agg(distinct %1$L || statek.dep_key(s.k)) into deps
      from (select n.%4$I::text from new_t n union all select o.%4$I::text from old_t o) s(k)
      where s.k is not null; -- both keys of a row that moved
    end if;$f$,
      _relation || ':', _relation || ';',
      case when _notify then $n$if found then perform pg_catalog.pg_notify('statek_dirty', ''); end if;$n$ else '' end, _key);
  end if;
  return format($f$
declare
  blind boolean := current_setting('transaction_isolation') in ('repeatable read', 'serializable');
  deps text[];
  hit boolean;
begin
  begin%s
    if deps is null then
      return null;
    end if;
    if blind then -- its snapshot may be older than a wait that is committed by now
      insert into statek.dirty (dep) select d from unnest(deps) d;
      return null;
    end if;
    -- A statement of its own: in READ COMMITTED its snapshot is younger than this transaction's xid.
    insert into statek.dirty (dep)
    select d
    from unnest(deps) d
    join lateral (select true from statek.wait_deps w where w.dep = d limit 1) x on true;
    %s
  exception when others then
    -- The application's write goes on; the safety sweep will find what this mark would have told.
    begin
      perform pg_catalog.nextval('statek.watch_failures');
    exception when others then null;
    end;
    raise warning 'statek: mark write to %% for waiting jobs: %%', TG_RELID::regclass, SQLERRM;
  end;
  return null;
end $f$,
    pick,
    case when _notify then $n$if found then perform pg_catalog.pg_notify('statek_dirty', ''); end if;$n$ else '' end);
end $$;

-- Makes writes to a table wake the jobs whose conditions read it. _key is the column that temporals compare
-- with a parameter; without it every write wakes everybody who watches the table. Partitions are included;
-- after adding one, call watch again (it is idempotent). notify => false is for applications that PREPARE
-- TRANSACTION or cannot afford NOTIFY in their commits: marks are then found by polling.
create function statek.watch(_relation regclass, _key text default null, notify boolean default true) returns void
  language plpgsql volatile as $$
declare
  rel text := statek.dep_relation(_relation);
  fn text := statek.watch_name(rel, _key);
  col record;
  r record;
begin
  if (select relkind from pg_class where oid = _relation) not in ('r', 'p') then
    raise exception '% is not a table: watch the tables it reads', rel using errcode = 'wrong_object_type';
  end if;
  if _key is not null then
    select atttypid, attcollation into col
    from pg_attribute where attrelid = _relation and attname = _key and attnum > 0 and not attisdropped;
    if not found then
      raise exception 'table % has no column %', rel, quote_ident(_key) using errcode = 'undefined_column';
    end if;
    if not statek.key_type_ok(col.atttypid, col.attcollation) then
      raise exception 'column % of % has type %, which cannot be a key', quote_ident(_key), rel, format_type(col.atttypid, null)
        using errcode = 'datatype_mismatch',
          hint = 'Equal values must have one text: use text, an integer, uuid, boolean or an enum, or watch the whole table.';
    end if;
  end if;
  execute format(
    'create or replace function statek.%I() returns trigger language plpgsql volatile security definer '
    'set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off '
    'set lock_timeout = ''50ms'' as %L', fn, statek.watch_function(rel, _key, notify));
  execute format('revoke all on function statek.%I() from public', fn);
  for r in select * from statek.watched_relations(_relation) loop
    execute format('create or replace trigger %I after insert on %s referencing new table as new_t '
      'for each statement execute function statek.%I()', fn || '_i', r.relation, fn);
    execute format('create or replace trigger %I after update on %s referencing new table as new_t old table as old_t '
      'for each statement execute function statek.%I()', fn || '_u', r.relation, fn);
    execute format('create or replace trigger %I after delete on %s referencing old table as old_t '
      'for each statement execute function statek.%I()', fn || '_d', r.relation, fn);
    execute format('create or replace trigger %I after truncate on %s for each statement execute function statek.%I()',
      fn || '_t', r.relation, fn);
    -- ALWAYS: also under session_replication_role = replica.
    execute format('alter table %1$s enable always trigger %2$I, enable always trigger %3$I, enable always trigger %4$I, '
      'enable always trigger %5$I', r.relation, fn || '_i', fn || '_u', fn || '_d', fn || '_t');
  end loop;
  insert into statek.watches as w (relation, key, notify) values (rel, coalesce(_key, ''), watch.notify)
  on conflict (relation, key) do update set notify = excluded.notify;
end $$;

create function statek.unwatch(_relation regclass, _key text default null) returns void
  language plpgsql volatile as $$
declare
  rel text := statek.dep_relation(_relation);
begin
  -- With its function go the triggers of the table and of all its partitions.
  execute format('drop function if exists statek.%I() cascade', statek.watch_name(rel, _key));
  delete from statek.watches where relation = rel and key = coalesce(_key, '');
end $$;

-- What is wrong with the watches: relations gone, triggers missing (a partition added later) or not ALWAYS.
create function statek.watch_problems() returns table (relation text, key text, problem text)
  language sql stable as $$
  select w.relation, w.key, 'the table does not exist any more: call statek.unwatch or watch the new one'
  from statek.watches w
  where to_regclass(format('%I.%I', split_part(w.relation, '.', 1), split_part(w.relation, '.', 2))) is null
  union all
  select w.relation, w.key, format('%s lacks a working trigger for %s: call statek.watch again', r.relation, k.what)
  from statek.watches w
  cross join lateral (select to_regclass(format('%I.%I', split_part(w.relation, '.', 1), split_part(w.relation, '.', 2))) as oid) t
  cross join lateral statek.watched_relations(t.oid) r
  cross join (values ('_i', 'INSERT'), ('_u', 'UPDATE'), ('_d', 'DELETE'), ('_t', 'TRUNCATE')) k(suffix, what)
  where t.oid is not null
    and not exists (
      select from pg_trigger g
      where g.tgrelid = r.relation and g.tgenabled = 'A'
        and g.tgname = statek.watch_name(w.relation, nullif(w.key, '')) || k.suffix)
$$;
