drop function statek.watch_probe(text, text);

-- A key as it stands in a dep: its text, or a digest of it where an index entry could get too long.
create or replace function statek.dep_key(_key text) returns text
  language sql immutable strict parallel safe
  return case when octet_length(_key) > 200 then '#' || md5(_key) else _key end;

-- The text of the trigger function of one watch. It is generated so that its few statements are planned
-- once. What must hold, and what happens when it does not, is in internal/temporal/doc.go.
create or replace function statek.watch_function(_relation text, _key text, _notify boolean) returns text
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
