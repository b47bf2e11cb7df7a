drop view statek.object_history;
drop view statek.object_overview;
drop function statek.collect_objects(timestamptz, integer);
drop function statek.set_object_limits(text, text, integer, integer);
drop function statek.get_object(text, text, text);
drop function statek.delete_object(text, text, text, bigint);
drop function statek.put_object(text, text, text, json, bigint);
drop function statek.write_object(text, text, text, json, bigint, text);
drop function statek.check_object(text, text, text);

-- Nothing can wait for an object any more.
delete from statek.waits where kind = 'object';
delete from statek.wait_groups where kind = 'object';
do $$
declare
  c record;
begin
  for c in
    select conrelid::regclass as relation, conname, pg_get_constraintdef(oid) as def from pg_constraint
    where conname in ('waits_kind_check', 'wait_groups_kind_check') and connamespace = 'statek'::regnamespace
  loop
    execute format('alter table %s drop constraint %I, add constraint %2$I %s', c.relation, c.conname,
      replace(c.def, ', ''object''::text', ''));
  end loop;
end $$;

drop table statek.object_collections;
drop table statek.object_versions;
drop table statek.objects;
