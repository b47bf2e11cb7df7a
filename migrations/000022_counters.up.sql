-- What must not happen, counted for the whole deployment; statek doctor shows it.
create table statek.counters (
  name text primary key,
  n    bigint not null default 0,
  at   timestamptz not null default clock_timestamp(), -- of the last
  note text                                            -- about the last
);
comment on table statek.counters is 'sweep_caught: waits whose wake-up was lost, and which the safety sweep served. It must be 0.';
