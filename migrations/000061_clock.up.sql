-- An SQL function that is stable and calls clock_timestamp(), which is volatile, is never inlined: each statement that called it
-- planned it anew, a sixth of what a commit cost. As PL/pgSQL it is compiled once a session.
create or replace function statek.now() returns timestamptz
  language plpgsql stable parallel safe as $$
begin
  return coalesce(nullif(pg_catalog.current_setting('statek.now', true), '')::pg_catalog.timestamptz, pg_catalog.clock_timestamp());
end $$;
