drop index statek.job_state_unowned;
create index job_state_unowned on statek.job_state (freed_at)
  where owner is null and parked_on is null and status in ('READY', 'WARMING_UP', 'STARTED');
