-- Workers ask every second whether a job may have lost its doorbell. Jobs that wait for a time of their own have none, and may be many:
-- the index need not know them.
drop index statek.job_state_unowned;
create index job_state_unowned on statek.job_state (freed_at)
  where owner is null and parked_on is null and wake_at is null and status in ('READY', 'WARMING_UP', 'STARTED');
