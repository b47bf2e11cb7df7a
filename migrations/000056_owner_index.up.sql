-- A fenced write says which job and which owner. An index on the owner alone was as good as the key to a planner that had seen
-- an empty table, and then each commit read all that its worker holds.
drop index statek.job_state_owner;
create index job_state_owner on statek.job_state (owner, job_id) where owner is not null;
