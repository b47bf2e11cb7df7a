-- Waits: what suspended jobs wait for. docs/adr and internal/temporal/doc.go hold the proof that no wake-up
-- is lost.

-- All waits with the same (prefix, temporal version, arguments): evaluated once, served in order. The row's
-- lock (for no key update) is held by whoever evaluates; registering takes only a key share lock, so that a
-- slow evaluation never delays the commit of a job.
create table statek.wait_groups (
  id          bigint generated always as identity primary key,
  prefix      text not null,
  kind        text not null check (kind in ('event', 'sql')),
  name        text not null,                       -- 'event', or the temporal's name
  temporal_id uuid references statek.temporals(id),
  args        json not null,
  hash        bytea not null unique,               -- of (prefix, kind, temporal version, canonical args, deps)
  retry_at    timestamptz,                         -- contended, failed or recheck: look again then
  attempts    integer not null default 0,          -- consecutive contended or failed evaluations
  recheck     interval,
  last_result text,                                -- 'idle', 'served', 'contended', 'failed', 'empty'
  last_error  text,
  last_at     timestamptz
) with (fillfactor = 50);
create index wait_groups_retry on statek.wait_groups (retry_at) where retry_at is not null;
create index wait_groups_last on statek.wait_groups (last_at nulls first);

-- Looks that are owed to a group: one row per registration, one per consumed dirty row. Append-only like
-- dirty, and for the same reason: an update of the group's row would make all registrations of a popular
-- group, and its evaluator, wait for each other. Taken out by DELETE, in the transaction that looks.
create table statek.wait_checks (
  id         bigint generated always as identity primary key,
  group_id   bigint not null,                      -- no foreign key: orphans are harmless and swept
  settle_xid xid8                                  -- null until a later transaction stamps its own xid; '0': look now
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index wait_checks_group on statek.wait_checks (group_id);
create index wait_checks_settle on statek.wait_checks (settle_xid);

create table statek.wait_sets (
  id     bigint generated always as identity primary key,
  job_id uuid not null references statek.jobs(id) on delete cascade
);

-- Open waits only: resolving one deletes it in the transaction that puts the mailbox row in.
create table statek.waits (
  id         bigint generated always as identity primary key,
  job_id     uuid not null references statek.jobs(id) on delete cascade,
  cell       integer not null,
  call       integer not null,
  kind       text not null check (kind in ('sleep', 'until', 'event', 'message', 'sql')),
  name       text not null,
  group_id   bigint references statek.wait_groups(id),
  set_id     bigint references statek.wait_sets(id),
  due_at     timestamptz,                          -- sleep/until: resolves then; others: times out then
  since      timestamptz,                          -- event: facts from then on
  created_at timestamptz not null default statek.now(),
  unique (job_id, cell, call)
);
create index waits_group on statek.waits (group_id, id) where group_id is not null;
create index waits_due on statek.waits (due_at) where due_at is not null;

-- The one table that triggers in application transactions read. No migration may ever alter it: an ACCESS
-- EXCLUSIVE lock here would stall the applications' writes. Bytes order, so that a prefix is a range.
create table statek.wait_deps (
  dep      text collate "C" not null,              -- see statek.dep_key
  group_id bigint not null references statek.wait_groups(id) on delete cascade,
  primary key (dep, group_id)
);
create index wait_deps_group on statek.wait_deps (group_id);

-- Append-only, consumed by DELETE, never read by an id cursor, no unique(dep).
create table statek.dirty (
  id    bigint generated always as identity primary key,
  dep   text collate "C" not null,
  below boolean not null default false,            -- every dep that starts with dep: a blind TRUNCATE
  at    timestamptz not null default clock_timestamp()
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

create table statek.watches (
  relation  text not null,                         -- 'app.tasks'
  key       text not null,                         -- the key column; '' when every write matters
  notify    boolean not null default true,
  created_at timestamptz not null default statek.now(),
  primary key (relation, key)
);

-- What was emitted. Broadcast; keyed facts are first-write-wins.
create table statek.facts (
  id         bigint generated always as identity primary key,
  prefix     statek.prefix_path not null,
  name       text not null check (length(name) between 1 and 200),
  key        text,
  payload    json not null,
  created_at timestamptz not null default statek.now(),
  expires_at timestamptz not null default statek.now() + interval '7 days'
);
create unique index facts_keyed on statek.facts (prefix, name, key) where key is not null;
create index facts_name on statek.facts (prefix, name, created_at, id);
create index facts_expiry on statek.facts (expires_at);

create table statek.fact_deliveries (
  job_id  uuid not null references statek.jobs(id) on delete cascade,
  fact_id bigint not null references statek.facts(id) on delete cascade,
  primary key (job_id, fact_id)
);
create index fact_deliveries_fact on statek.fact_deliveries (fact_id);
