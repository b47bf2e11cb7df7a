-- Waits: what suspended jobs wait for. docs/adr and internal/temporal/doc.go hold the proof that no wake-up
-- is lost.

-- All waits with the same (prefix, temporal version, arguments): evaluated once, served in order.
create table statek.wait_groups (
  id          bigint generated always as identity primary key,
  prefix      text not null,
  kind        text not null check (kind in ('event', 'sql')),
  name        text not null,                       -- 'event', or the temporal's name
  temporal_id uuid references statek.temporals(id),
  args        json not null,
  hash        bytea not null unique,               -- of (prefix, kind, temporal version, canonical args)
  settle_xid  xid8,                                -- null until a later transaction stamps its own xid
  settled     boolean not null default false,
  retry_at    timestamptz,                         -- contended, failed or recheck: look again then
  attempts    integer not null default 0,          -- consecutive contended or failed evaluations
  recheck     interval,
  last_result text,                                -- 'false', 'served n', 'contended', 'error'
  last_error  text,
  last_at     timestamptz
) with (fillfactor = 50);
create index wait_groups_unstamped on statek.wait_groups (id) where settle_xid is null;
create index wait_groups_unsettled on statek.wait_groups (settle_xid, id) where not settled;
create index wait_groups_retry on statek.wait_groups (retry_at) where retry_at is not null;

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
-- EXCLUSIVE lock here would stall the applications' writes.
create table statek.wait_deps (
  dep      text not null,                          -- 'app.tasks:<key>', 'fact:<name>'
  group_id bigint not null references statek.wait_groups(id) on delete cascade,
  primary key (dep, group_id)
);

-- Append-only, consumed by DELETE, never read by an id cursor, no unique(dep).
create table statek.dirty (
  id  bigint generated always as identity primary key,
  dep text not null,
  at  timestamptz not null default clock_timestamp()
);

create table statek.watches (
  relation  text not null,                         -- 'app.tasks'
  key       text not null,                         -- the key column
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
create index facts_name on statek.facts (name, id);
create index facts_expiry on statek.facts (expires_at);

create table statek.fact_deliveries (
  job_id  uuid not null references statek.jobs(id) on delete cascade,
  fact_id bigint not null references statek.facts(id) on delete cascade,
  primary key (job_id, fact_id)
);
