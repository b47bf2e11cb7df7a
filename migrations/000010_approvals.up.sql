-- Questions of jobs to people. A row is written together with the wait it belongs to, so whoever sees the
-- question finds the wait; it outlives the wait, to show who has answered.
alter table statek.waits drop constraint waits_kind_check,
  add constraint waits_kind_check
    check (kind in ('sleep', 'until', 'event', 'message', 'sql', 'go', 'approval', 'job', 'objects'));
alter table statek.wait_groups drop constraint wait_groups_kind_check,
  add constraint wait_groups_kind_check check (kind in ('event', 'sql', 'go', 'job', 'objects'));

create table statek.approvals (
  id         uuid primary key default statek.uuidv7(),
  job_id     uuid not null references statek.jobs(id) on delete cascade,
  cell       integer not null,
  call       integer not null,
  prefix     statek.prefix_path not null,          -- the job's
  title      text not null,
  options    json not null default '[]',           -- [{"value", "label"?, "description"?}]; empty: free text only
  free_text  boolean not null default false,
  args       json,                                 -- proposed arguments that the answer may change
  schema     json,                                 -- what changed arguments must satisfy
  data       json,                                 -- shown to the person
  assignee   text,
  status     text not null default 'pending' check (status in ('pending', 'decided', 'expired', 'withdrawn')),
  decision   json,                                 -- what the job got
  decided_by text,
  created_at timestamptz not null default statek.now(),
  expires_at timestamptz,
  ended_at   timestamptz,
  unique (job_id, cell, call)
);
create index approvals_open on statek.approvals (prefix text_pattern_ops, id) where status = 'pending';
create index approvals_assignee on statek.approvals (assignee, id) where assignee is not null;
