-- The functions of the watches go first, and with them the triggers on the applications' tables.
do $$
declare
  w record;
begin
  for w in select * from statek.watches loop
    execute format('drop function if exists statek.%I() cascade', statek.watch_name(w.relation, nullif(w.key, '')));
  end loop;
end $$;
drop function statek.watch_problems(), statek.unwatch(regclass, text), statek.watch(regclass, text, boolean),
  statek.watch_function(text, text, boolean), statek.watch_name(text, text), statek.dep_relation(regclass),
  statek.watched_relations(regclass), statek.key_type_ok(oid, oid), statek.emit(text, text, json, text),
  statek.mark_fact(text[]), statek.row_json(text[], oid[], text[]),
  statek.register_wait(uuid, integer, integer, text, text, timestamptz, timestamptz, bytea, text, text, text, uuid, json,
    text[], interval, timestamptz),
  statek.dep_key(text);
drop function statek.watch_failed();
drop sequence statek.watch_failures;
