do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'statek'::regnamespace and 'jit=off' = any(p.proconfig)
  loop
    execute format('alter function %s reset jit', f);
  end loop;
end $$;
