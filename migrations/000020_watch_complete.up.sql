-- Watches that hold in the open: written through parents and into leaves, kept when nothing has changed, quick
-- to give up a lock, and able to say what is wrong with them.

-- All relations whose writes can touch a row of _relation: what inherits from it, and every ancestor of those, because
-- a write through a parent fires the parent's statement triggers only, and one into a leaf the leaf's.
create or replace function statek.watched_relations(_relation regclass) returns table (relation regclass, partition boolean)
  language sql stable as $$
  with recursive below(oid) as (
    select _relation::oid
    union
    select i.inhrelid from pg_inherits i join below b on b.oid = i.inhparent
  ), tree(oid) as (
    select b.oid from below b
    union
    select i.inhparent from pg_inherits i join tree t on t.oid = i.inhrelid
  )
  select c.oid::regclass, c.relispartition
  from tree t join pg_class c on c.oid = t.oid
  where c.relkind in ('r', 'p', 'f')
$$;

-- A watched relation by its name in statek.watches; null: there is none.
create function statek.watched_table(_name text) returns regclass
  language sql stable strict
  return to_regclass(format('%I.%I', split_part(_name, '.', 1), split_part(_name, '.', 2)));

-- The triggers that one watch needs, and how each stands: null: missing, D: disabled, O or R: not ALWAYS, A: well.
create function statek.watch_triggers(_relation text, _key text) returns table (relation regclass, suffix text, what text, state "char")
  language sql stable as $$
  select r.relation, k.suffix, k.what, g.tgenabled
  from statek.watched_relations(statek.watched_table(_relation)) r
  cross join (values ('_i', 'INSERT'), ('_u', 'UPDATE'), ('_d', 'DELETE'), ('_t', 'TRUNCATE')) k(suffix, what)
  left join pg_trigger g on g.tgrelid = r.relation and g.tgname = statek.watch_name(_relation, _key) || k.suffix
    and g.tgfoid = to_regprocedure(format('statek.%I()', statek.watch_name(_relation, _key)))
  order by r.relation::text, k.suffix
$$;

-- Raises what makes a table, or a column as its key, impossible to watch.
create function statek.check_watchable(_relation regclass, _key text) returns void
  language plpgsql stable as $$
declare
  rel text := statek.dep_relation(_relation);
  t record;
  col record;
begin
  select c.relkind, c.relpersistence into t from pg_class c where c.oid = _relation;
  if t.relkind is null or t.relkind not in ('r', 'p') then
    raise exception '% is not a table: watch the tables it reads', coalesce(rel, _relation::text) using errcode = 'wrong_object_type';
  end if;
  if t.relpersistence = 't' then
    raise exception '% is a temporary table, which no other session can read', rel using errcode = 'wrong_object_type';
  end if;
  if array_length(string_to_array(rel, '.'), 1) <> 2 or rel ~ '[:;"]' then
    raise exception 'table % cannot be watched: its name or its schema''s holds one of . : ; "', _relation using errcode = 'invalid_name';
  end if;
  for t in select r.relation, c.relkind from statek.watched_relations(_relation) r join pg_class c on c.oid = r.relation loop
    if t.relkind = 'f' then
      raise exception '% has the foreign table % as a child; Postgres refuses writes that triggers like ours would have to see there', rel, t.relation
        using errcode = 'wrong_object_type', hint = 'Do not watch it, and declare "-- recheck: 5s" in the temporals that read it.';
    end if;
    continue when _key is null;
    select a.atttypid, a.attcollation into col
    from pg_attribute a where a.attrelid = t.relation and a.attname = _key and a.attnum > 0 and not a.attisdropped;
    if not found then
      raise exception 'table % has no column %', case when t.relation = _relation then rel else t.relation::text end, quote_ident(_key)
        using errcode = 'undefined_column', hint = case when t.relation <> _relation then
          format('Rows of %s can be written through %s: watch the whole table, without a key.', rel, t.relation) else '' end;
    end if;
    if not statek.key_type_ok(col.atttypid, col.attcollation) then
      raise exception 'column % of % has type %, which cannot be a key', quote_ident(_key), rel, format_type(col.atttypid, null)
        using errcode = 'datatype_mismatch',
          hint = 'Equal values must have one text: use text, an integer, uuid, boolean or an enum, or watch the whole table.';
    end if;
  end loop;
end $$;

-- Types whose values have the same text when they are equal, across the types of one family.
create function statek.key_family(_type oid) returns text
  language sql stable parallel safe
  return (
    with recursive base(oid) as (
      select _type
      union all
      select t.typbasetype from pg_type t join base b on b.oid = t.oid where t.typtype = 'd'
    )
    select case
        when t.oid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'name'::regtype) then 'text'
        when t.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then 'integer'
        else format_type(t.oid, null)
      end
    from pg_type t join base b on b.oid = t.oid where t.typtype <> 'd'
  );

-- Why a temporal cannot watch a table by a column that it compares with a parameter of a type; null: it can.
create function statek.watch_fault(_relation text, _key text, _param text) returns text
  language plpgsql stable as $$
declare
  tab regclass := statek.watched_table(_relation);
  col oid;
  par oid := to_regtype(regexp_replace(_param, '\(.*\)', ''));
begin
  if tab is null then
    return 'there is no table ' || _relation || ': create it first, then apply again';
  end if;
  begin
    perform statek.check_watchable(tab, _key);
  exception when others then
    return sqlerrm;
  end;
  if _key is null or par is null then -- a type that is not there is the statements' fault
    return null;
  end if;
  select a.atttypid into col from pg_attribute a where a.attrelid = tab and a.attname = _key and not a.attisdropped;
  if statek.key_family(col) = statek.key_family(par)
    or statek.key_family(par) = 'text' and exists (select from pg_type t where t.typtype = 'e' and format_type(t.oid, null) = statek.key_family(col)) then
    return null;
  end if;
  return format('column %s of %s is %s and is compared with a parameter of type %s: the text of equal values differs, so writes would not wake the job; declare the parameter as %s',
    quote_ident(_key), _relation, format_type(col, null), _param, format_type(col, null));
end $$;

-- Makes writes to a table wake the jobs whose conditions read it. _key is the column that temporals compare
-- with a parameter; without it every write wakes everybody who watches the table. Partitions and children are
-- included; after adding one, call watch again: it is idempotent, and takes no lock where nothing is missing.
-- notify => false is for applications that PREPARE TRANSACTION or cannot afford NOTIFY in their commits: marks
-- are then found by polling. Left out, it stays as it is for the table, and is true for a new one.
create or replace function statek.watch(_relation regclass, _key text default null, notify boolean default null) returns void
  language plpgsql volatile
  -- A lock that is waited for makes the application's writers wait behind it.
  set lock_timeout = '2s' as $$
declare
  rel text := statek.dep_relation(_relation);
  fn text := statek.watch_name(rel, _key);
  tells boolean;
  body text;
  r record;
begin
  perform statek.check_watchable(_relation, _key);
  tells := coalesce(watch.notify,
    (select w.notify from statek.watches w where w.relation = rel and w.key = coalesce(_key, '')),
    (select bool_and(w.notify) from statek.watches w where w.relation = rel), true);
  body := statek.watch_function(rel, _key, tells);
  if body is distinct from (select p.prosrc from pg_proc p where p.oid = to_regprocedure(format('statek.%I()', fn))) then
    execute format(
      'create or replace function statek.%I() returns trigger language plpgsql volatile security definer '
      'set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan set enable_seqscan = off '
      'set lock_timeout = ''50ms'' as %L', fn, body);
    execute format('revoke all on function statek.%I() from public', fn);
  end if;
  insert into statek.watches as w (relation, key, notify) values (rel, coalesce(_key, ''), tells)
  on conflict (relation, key) do update set notify = excluded.notify where w.notify <> excluded.notify;
  for r in select * from statek.watch_triggers(rel, _key) t where t.state is distinct from 'A' loop
    execute format('create or replace trigger %I after %s on %s %s for each statement execute function statek.%I()', fn || r.suffix,
      lower(r.what), r.relation,
      case r.suffix when '_i' then 'referencing new table as new_t' when '_d' then 'referencing old table as old_t'
        when '_u' then 'referencing new table as new_t old table as old_t' else '' end, fn);
    -- ALWAYS: also under session_replication_role = replica.
    execute format('alter table %s enable always trigger %I', r.relation, fn || r.suffix);
  end loop;
exception when lock_not_available then
  raise exception 'table % is in use: watch waited 2 seconds for its lock', rel
    using errcode = 'lock_not_available', hint = coalesce(
      (select 'Try again when these sessions have ended their transactions: ' || string_agg(distinct l.pid::text, ', ')
       from pg_locks l where l.relation in (select w.relation from statek.watched_relations(_relation) w) and l.granted and l.pid <> pg_backend_pid()),
      'Try again.');
end $$;

-- Takes a watch back. By name, so that it can be taken back when its table is gone.
drop function statek.unwatch(regclass, text);
create function statek.unwatch(_relation text, _key text default null) returns void
  language plpgsql volatile
  set lock_timeout = '2s' as $$
declare
  rel text := coalesce(statek.dep_relation(to_regclass(_relation)), _relation);
begin
  -- With its function go the triggers of the table and of all its partitions.
  execute format('drop function if exists statek.%I() cascade', statek.watch_name(rel, _key));
  delete from statek.watches where relation = rel and key = coalesce(_key, '');
end $$;

-- What is wrong with the watches. fixable: statek.watch again mends it. serious: writes go by unseen.
drop function statek.watch_problems();
create function statek.watch_problems() returns table (relation text, key text, problem text, remedy text, fixable boolean, serious boolean)
  language plpgsql stable as $$
declare
  w record;
  again text;
begin
  for w in
    select x.relation, x.key, nullif(x.key, '') as col, x.notify, statek.watched_table(x.relation) as tab,
      to_regprocedure(format('statek.%I()', statek.watch_name(x.relation, nullif(x.key, '')))) as fn
    from statek.watches x order by x.relation, x.key
  loop
    again := format('select statek.watch(%s)', concat_ws(', ', quote_literal(w.relation), quote_literal(w.col)));
    if w.tab is null then
      return query select w.relation, w.key, 'the table does not exist any more' || coalesce(' under this name: it is ' ||
          (select string_agg(distinct g.tgrelid::regclass::text, ', ') from pg_trigger g where g.tgfoid = w.fn), ''),
        format('apply temporals that name the table it is now, then: select statek.unwatch(%s)',
          concat_ws(', ', quote_literal(w.relation), quote_literal(w.col))), false, true;
      continue;
    end if;
    begin
      perform statek.check_watchable(w.tab, w.col);
    exception when others then
      return query select w.relation, w.key, sqlerrm, format('apply temporals that watch what there is, then: select statek.unwatch(%s)',
        concat_ws(', ', quote_literal(w.relation), quote_literal(w.col))), false, true;
      continue;
    end;
    return query
      select w.relation, w.key, format('%s lacks a working trigger for %s: it is %s', t.relation, t.what,
          case t.state when 'D' then 'disabled' when 'O' then 'not ENABLE ALWAYS, so a replica role writes by it' when 'R' then 'for the replica role only' else 'missing' end),
        again, true, true
      from statek.watch_triggers(w.relation, w.col) t where t.state is distinct from 'A';
    return query
      select w.relation, w.key, 'its function was made by another release, or was changed', again, true, false
      from pg_proc p where p.oid = w.fn and p.prosrc <> statek.watch_function(w.relation, w.col, w.notify);
    return query
      select w.relation, w.key, format('its function belongs to %s, which may not write marks: every mark fails', p.proowner::regrole),
        format('alter function %s owner to %s', w.fn, (select c.relowner::regrole from pg_class c where c.oid = 'statek.dirty'::regclass)), false, true
      from pg_proc p
      where p.oid = w.fn and not (p.prosecdef and has_schema_privilege(p.proowner, 'statek', 'usage')
        and has_table_privilege(p.proowner, 'statek.dirty', 'insert') and has_table_privilege(p.proowner, 'statek.wait_deps', 'select')
        and has_sequence_privilege(p.proowner, 'statek.watch_failures', 'usage'));
    return query
      select w.relation, w.key, format('%s is fed by a subscription, whose writes fire no statement trigger', s.srrelid::regclass),
        'declare "-- recheck: 5s" in the temporals that read it', false, true
      from pg_subscription_rel s where s.srrelid in (select r.relation from statek.watched_relations(w.tab) r);
    return query
      select w.relation, w.key, format('%s still has its triggers and is no part of it any more: its writes cost, and wake for nothing', g.tgrelid::regclass),
        string_agg(format('drop trigger %I on %s', g.tgname, g.tgrelid::regclass), '; ' order by g.tgname), false, false
      from pg_trigger g
      where g.tgfoid = w.fn and g.tgrelid not in (select r.relation from statek.watched_relations(w.tab) r)
      group by g.tgrelid;
  end loop;
end $$;
