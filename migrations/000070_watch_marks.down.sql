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
