-- What a watch costs the application when nobody waits: one statement that finds the keys of a write and probes for each
-- whether somebody waits, and nothing else.

-- A key as it stands in a dep: its text, or a digest of it where an index entry could get too long. Not strict: the
-- planner would not expand it then, and calling it cost more than the rest of a watch. Of null it is null all the same.
create or replace function statek.dep_key(_key text) returns text
  language sql immutable parallel safe
  return case when octet_length(_key) > 200 then '#' || md5(_key) else _key end;

-- The statement that finds the deps of rows whose keys are in a source, if somebody waits for them. In READ COMMITTED
-- its snapshot is younger than this transaction's xid; that of a stricter transaction may be older than a wait that is
-- committed by now, and so it marks every dep. A statement without variables: it is planned once. The key's column may have a
-- collation of its own.
create function statek.watch_probe(_prefix text, _keys text) returns text
  language sql immutable
  return format($f$
      select array_agg(d.dep) into deps
      from (select distinct (%1$L || statek.dep_key(k.key)) collate "C" as dep from (%2$s) k where k.key is not null) d
      left join lateral (select true as waits from statek.wait_deps w where w.dep = d.dep limit 1) x on true
      where x.waits or current_setting('transaction_isolation') in ('repeatable read', 'serializable');$f$, _prefix, _keys);

-- The text of the trigger function of one watch. It is generated so that its few statements are planned
-- once. What must hold, and what happens when it does not, is in internal/temporal/doc.go.
create or replace function statek.watch_function(_relation text, _key text, _notify boolean) returns text
  language plpgsql stable as $$
declare
  tell constant text := case when _notify then $n$
        if found then
          perform pg_catalog.pg_notify('statek_dirty', '');
        end if;$n$ else '' end;
  pick text;
begin
  if _key is null then
    pick := format($f$
    if TG_OP = 'TRUNCATE' then%1$s
    elsif TG_OP = 'DELETE' then%2$s
    else%3$s
    end if;$f$,
      statek.watch_probe(_relation || ':', $k$select '*' as key$k$),
      statek.watch_probe(_relation || ':', $k$(select '*' as key from old_t limit 1)$k$),
      statek.watch_probe(_relation || ':', $k$(select '*' as key from new_t limit 1)$k$));
  else
    pick := format($f$
    if TG_OP = 'INSERT' then%1$s
    elsif TG_OP = 'UPDATE' then -- both keys of a row that moved%2$s
    elsif TG_OP = 'DELETE' then%3$s
    else
      if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
        insert into statek.dirty (dep, below) values (%4$L, true);
      else
        insert into statek.dirty (dep)
        select distinct w.dep from statek.wait_deps w
        where w.dep >= %4$L collate "C" and w.dep < %5$L collate "C";%6$s
      end if;
    end if;$f$,
      statek.watch_probe(_relation || ':', format('select n.%I::text as key from new_t n', _key)),
      statek.watch_probe(_relation || ':', format('select n.%1$I::text as key from new_t n union all select o.%1$I::text from old_t o', _key)),
      statek.watch_probe(_relation || ':', format('select o.%I::text as key from old_t o', _key)),
      _relation || ':', _relation || ';', tell);
  end if;
  return format($f$
declare
  deps text[];
begin
  begin%s
    if deps is not null then
      insert into statek.dirty (dep) select d from unnest(deps) d;%s
    end if;
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
    pick, case when _notify then $n$
      if current_setting('transaction_isolation') not in ('repeatable read', 'serializable') then
        perform pg_catalog.pg_notify('statek_dirty', '');
      end if;$n$ else '' end);
end $$;

-- Functions of watches that are there are made again; a watch that cannot be is reported by doctor.
do $$
declare
  w record;
begin
  for w in select x.relation, nullif(x.key, '') as key from statek.watches x where statek.watched_table(x.relation) is not null order by 1, 2 loop
    begin
      perform statek.watch(statek.watched_table(w.relation), w.key);
    exception when others then
      raise warning 'statek: the watch of % is as it was: %', w.relation, sqlerrm;
    end;
  end loop;
end $$;
