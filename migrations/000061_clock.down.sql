create or replace function statek.now() returns timestamptz
  language sql stable parallel safe
  return coalesce(nullif(current_setting('statek.now', true), '')::timestamptz, clock_timestamp());
