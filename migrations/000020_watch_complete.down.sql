-- Back to what 000003 made, word for word.
drop function statek.watch_problems(), statek.unwatch(text, text);
create or replace function statek.watched_relations(_relation regclass) returns table (relation regclass, partition boolean)
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

create or replace function statek.watch(_relation regclass, _key text default null, notify boolean default true) returns void
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
drop function statek.watch_fault(text, text, text), statek.key_family(oid), statek.check_watchable(regclass, text), statek.watch_triggers(text, text), statek.watched_table(text);
