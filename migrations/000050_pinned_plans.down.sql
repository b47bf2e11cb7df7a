do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'statek'::regnamespace and p.proname in ('commit_jobs', 'claim_jobs', 'submit_jobs', 'settle_waits', 'wake')
  loop
    execute format('alter function %s reset enable_hashjoin', f);
    execute format('alter function %s reset enable_mergejoin', f);
  end loop;
end $$;
