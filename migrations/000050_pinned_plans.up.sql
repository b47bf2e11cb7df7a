-- The hot functions look up each row by its key, whatever the statistics say. Their plans are made once a session, perhaps
-- while tables are still empty: then a join that reads a whole index seems cheap, and stays.
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'statek'::regnamespace and p.proname in ('commit_jobs', 'claim_jobs', 'submit_jobs', 'settle_waits', 'wake')
  loop
    execute format('alter function %s set enable_hashjoin = off', f);
    execute format('alter function %s set enable_mergejoin = off', f);
  end loop;
end $$;
