drop index statek.job_state_owner;
create index job_state_owner on statek.job_state (owner) where owner is not null;
