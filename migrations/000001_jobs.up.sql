-- The tables of a job's life. Conventions that hold in every migration:
--   * states are text with a CHECK, never an enum: adding one must not need a commit of its own;
--   * whatever is replayed or restored is json (the exact bytes), never jsonb, which reorders keys, turns
--     -0 into 0 and rejects \u0000 and lone surrogates;
--   * history, variables and usage are partitioned by job id, which is a UUIDv7 and therefore a time, so
--     that retention can detach a month.
create schema if not exists statek;

comment on schema statek is 'Durable agent jobs. People read the views job_overview, job_timeline and blocked_jobs.';

-- SQL of tools and temporals runs as this role, which has no rights in schema statek. Applications grant
-- it what their tools may touch.
do $$
begin
  if not exists (select from pg_roles where rolname = 'statek_tool') then
    begin
      create role statek_tool nologin;
    exception
      when duplicate_object or unique_violation then null; -- another database of the cluster was faster
      when insufficient_privilege then
        raise exception 'statek needs the role statek_tool: ask an administrator to run "create role statek_tool nologin; grant statek_tool to %"', current_user;
    end;
  end if;
  -- From version 16 on, whoever made a role may administer it, but not become it.
  if not pg_has_role(current_user, 'statek_tool',
      case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end) then
    execute format('grant statek_tool to %I', current_user);
  end if;
end $$;

-- now() that a test can freeze with `set statek.now = '…'`. Liveness (beats, takeovers) must not use it.
create function statek.now() returns timestamptz
  language sql stable parallel safe
  return coalesce(nullif(current_setting('statek.now', true), '')::timestamptz, clock_timestamp());

-- The smallest UUIDv7 of an instant; partition bounds are made of these.
create function statek.uuid_at(_at timestamptz) returns uuid
  language sql immutable strict parallel safe
  return (lpad(to_hex(floor(extract(epoch from _at) * 1000)::bigint), 12, '0') || '7000' || '8000000000000000')::uuid;

-- A new UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits.
create function statek.uuidv7() returns uuid
  language sql volatile parallel safe
  return (lpad(to_hex(floor(extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
          || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14, 3)
          || substr(replace(gen_random_uuid()::text, '-', ''), 17, 16))::uuid;

create domain statek.prefix_path as text
  check (value = '/' or value ~ '^(/[a-zA-Z0-9_.-]{1,64}){1,16}$');

-- Whether _ancestor is _path or one of its ancestors.
create function statek.covers(_ancestor text, _path text) returns boolean
  language sql immutable strict parallel safe
  return _ancestor = '/' or _path = _ancestor or starts_with(_path, _ancestor || '/');

create table statek.prefixes (
  path       statek.prefix_path primary key,
  created_at timestamptz not null default statek.now()
);

create table statek.agents (
  id         uuid primary key default statek.uuidv7(),
  prefix     statek.prefix_path not null,
  role       text not null check (role ~ '^[a-zA-Z_][a-zA-Z0-9_.-]{0,99}$'),
  version    integer not null check (version > 0),
  hash       text not null,
  definition json not null,
  created_at timestamptz not null default statek.now(),
  unique (prefix, role, version)
);
comment on table statek.agents is 'Immutable versions; the current one is the highest. A job pins the version it was submitted with.';

create table statek.tools (
  id         uuid primary key default statek.uuidv7(),
  prefix     statek.prefix_path not null,
  name       text not null,
  version    integer not null check (version > 0),
  hash       text not null,
  definition json not null,
  created_at timestamptz not null default statek.now(),
  unique (prefix, name, version)
);

create table statek.temporals (
  id         uuid primary key default statek.uuidv7(),
  prefix     statek.prefix_path not null,
  name       text not null,
  version    integer not null check (version > 0),
  hash       text not null,
  definition json not null,
  created_at timestamptz not null default statek.now(),
  unique (prefix, name, version)
);

-- Counts changes of tools and temporals, so that a worker knows when its cached catalog is stale.
create table statek.catalog (
  one        boolean primary key default true check (one),
  generation bigint not null default 0
);
insert into statek.catalog default values;

-- Cold: written at submission and at the end.
create table statek.jobs (
  id            uuid primary key default statek.uuidv7(),
  prefix        statek.prefix_path not null,
  agent_id      uuid not null references statek.agents(id),
  role          text not null,
  agent_version integer not null,
  parent_id     uuid references statek.jobs(id) on delete set null,
  source        text not null default '',
  locale        text not null default '',
  tags          text[] not null default '{}',
  key           text,
  open_key      text, -- = key until the job first ends
  priority      smallint not null default 2 check (priority between 1 and 4),
  spec          json not null,
  created_at    timestamptz not null default statek.now(),
  finished_at   timestamptz,
  result        json,
  error         text
);
create unique index jobs_open_key on statek.jobs (prefix, role, open_key) where open_key is not null;
create index jobs_prefix on statek.jobs (prefix text_pattern_ops, id);
create index jobs_tags on statek.jobs using gin (tags) where tags <> '{}';
create index jobs_parent on statek.jobs (parent_id) where parent_id is not null;

-- Hot: written by every commit. Half-empty pages keep the updates on the page (HOT); the indexes are
-- partial so that most updates touch none.
create table statek.job_state (
  job_id     uuid primary key references statek.jobs(id) on delete cascade,
  status     text not null check (status in ('READY', 'WARMING_UP', 'STARTED', 'SUSPENDED', 'PAUSED', 'DONE')),
  outcome    text check (outcome in ('succeeded', 'failed', 'cancelled')),
  epoch      bigint not null default 0,
  owner      uuid,
  taken_from uuid, -- the dead worker that a sweeper took it from, until the next claim
  rung       boolean not null default false,
  parked_on  text,
  seq        bigint not null default 0,
  core       json not null, -- jobs.Job: the fold of history up to seq
  blocked_on text,          -- what it waits for: the wait's name, 'retry', 'operator' …
  blocked_why text,         -- the same as a sentence
  wake_at    timestamptz,   -- the job's own timer: run_at, or the next attempt
  changed_at timestamptz not null default statek.now(),
  constraint outcome_when_done check ((status = 'DONE') = (outcome is not null)),
  -- As text, for core may hold a result with \u0000, which no JSON operator accepts; the first "seq" is the job's.
  constraint core_at_seq check (substring(core::text from '"seq": *([0-9]+)')::bigint = seq)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
create index job_state_owner on statek.job_state (owner) where owner is not null;
create index job_state_unowned on statek.job_state (changed_at)
  where owner is null and parked_on is null and status in ('READY', 'WARMING_UP', 'STARTED');
create index job_state_wake on statek.job_state (wake_at) where wake_at is not null;
create index job_state_parked on statek.job_state (parked_on, changed_at) where parked_on is not null;
create index job_state_open on statek.job_state (status, job_id) where status <> 'DONE';

create table statek.history (
  job_id  uuid not null,
  seq     bigint not null,
  kind    text not null,
  cell    integer not null default 0, -- 0: outside a cell
  call    integer not null default 0, -- 0: not about a call
  at      timestamptz not null,
  payload json not null,
  primary key (job_id, seq)
) partition by range (job_id);

create table statek.variables (
  job_id    uuid not null,
  name      text not null,
  cell_from integer not null, -- the cell that wrote it; 0: the submission
  cell_to   integer,          -- the cell that replaced or deleted it; null: current
  value     json,             -- null with a reason in refused
  type      text not null,
  bytes     integer not null,
  refused   text,
  primary key (job_id, name, cell_from),
  constraint value_or_reason check ((value is null) = (refused is not null))
) partition by range (job_id);
create unique index variables_current on statek.variables (job_id, name) where cell_to is null;

create table statek.usage (
  job_id        uuid not null,
  seq           bigint not null,
  at            timestamptz not null,
  provider      text not null,
  model         text not null,
  input_tokens  bigint not null default 0,
  cached_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost          numeric,
  primary key (job_id, seq)
) partition by range (job_id);

do $$
begin
  alter table statek.history alter column payload set compression lz4;
  alter table statek.variables alter column value set compression lz4;
exception when feature_not_supported then
  raise notice 'this server has no lz4; history is compressed with pglz';
end $$;

-- Makes the monthly partitions from the month of _from on. Safe to repeat and to race. Months are UTC's and
-- are counted without a time zone: the session's would shift a bound by an hour of summer time. Making one
-- locks the parent for a moment, so what exists is not touched.
create function statek.ensure_partitions(_from timestamptz default statek.now(), _months integer default 3) returns void
  language plpgsql as $$
declare
  first timestamp := date_trunc('month', _from at time zone 'utc');
  m timestamp;
  t text;
  part text;
begin
  for i in 0 .. _months - 1 loop
    m := first + make_interval(months => i);
    foreach t in array array['history', 'variables', 'usage'] loop
      part := t || '_' || to_char(m, 'YYYYMM');
      if to_regclass('statek.' || part) is not null then
        continue;
      end if;
      perform pg_advisory_xact_lock(hashtext('statek.ensure_partitions'));
      begin
        execute format('create table if not exists statek.%I partition of statek.%I for values from (%L) to (%L)',
          part, t, statek.uuid_at(m at time zone 'utc'), statek.uuid_at((m + interval '1 month') at time zone 'utc'));
      exception when check_violation then
        raise warning 'rows of % are in %_default already and stay there', part, t;
      end;
    end loop;
  end loop;
end $$;

-- Ids from outside the prepared months (a clock that jumped, an imported job) land here.
create table statek.history_default partition of statek.history default;
create table statek.variables_default partition of statek.variables default;
create table statek.usage_default partition of statek.usage default;
select statek.ensure_partitions();

-- Rows put in by others; only the job's owner takes them out.
create table statek.mailbox (
  id         bigint generated always as identity primary key,
  job_id     uuid not null references statek.jobs(id) on delete cascade,
  kind       text not null check (kind in ('message', 'interrupt', 'resolved', 'timeout', 'cancel', 'pause', 'resume')),
  cell       integer not null default 0,
  call       integer not null default 0,
  payload    json not null default 'null',
  created_at timestamptz not null default statek.now()
);
create index mailbox_job on statek.mailbox (job_id, id);

create table statek.workers (
  id           uuid primary key,
  host         text not null,
  pid          integer not null,
  version      text not null,
  prefixes     text[] not null default '{/}',
  started_at   timestamptz not null default clock_timestamp(),
  beat_at      timestamptz not null default clock_timestamp(),
  dead_at      timestamptz -- set by a sweeper; such a worker must come back under a new id
);

create table statek.idempotency_keys (
  prefix     text not null,
  key        text not null check (length(key) between 1 and 255),
  request    text not null, -- hash of method, path and body
  status     integer not null,
  response   json not null,
  created_at timestamptz not null default statek.now(),
  primary key (prefix, key)
);
create index idempotency_keys_age on statek.idempotency_keys (created_at);
