-- Retention: how long ended jobs are kept, and how they are removed. internal/store/retention.go calls these functions;
-- docs/adr/0020-retention.md says why they are as they are.

-- A row says how long jobs with an outcome are kept, at a prefix and below, until a prefix further down says otherwise.
create table statek.retention (
  prefix     statek.prefix_path not null,
  outcome    text not null check (outcome in ('succeeded', 'failed', 'cancelled')),
  keep       interval check (keep > interval '0'), -- null: for ever
  changed_at timestamptz not null default statek.now(),
  primary key (prefix, outcome)
);
comment on table statek.retention is 'How long ended jobs are kept; null: for ever. Set with statek.set_retention, read with statek.retention_at.';

-- How far the removal has got. A lap looks at every job that is old enough once, in the order of ids, which is that of
-- creation: an index on the time of the end would be paid for by every job that ends.
create table statek.pruning (
  one       boolean primary key default true check (one),
  reached   uuid not null default '00000000-0000-0000-0000-000000000000', -- the last job that this lap has looked at
  lapped_at timestamptz,                   -- when a lap was last complete
  removed   bigint not null default 0      -- jobs, since the database was made
);
insert into statek.pruning default values;

-- Jobs that are gone and whose rows in the partitioned tables are not, yet: those may be many.
create table statek.pruned (
  job_id uuid primary key
);

-- What holds where no row says anything.
create function statek.default_retention(_outcome text) returns interval
  language sql immutable parallel safe
  return case _outcome when 'succeeded' then interval '30 days' else interval '90 days' end;

-- How long a job with that outcome is kept at that prefix; null: for ever. from_prefix is null where the default holds.
create function statek.retention_at(_prefix text)
  returns table (outcome text, keep interval, from_prefix text)
  language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select o.outcome, case when r.prefix is null then statek.default_retention(o.outcome) else r.keep end, r.prefix
  from unnest(array['succeeded', 'failed', 'cancelled']) with ordinality as o(outcome, place)
  left join lateral (
    select r.prefix::text, r.keep from statek.retention r
    where r.outcome = o.outcome and statek.covers(r.prefix, _prefix)
    order by length(r.prefix) desc
    limit 1) r on true
  order by o.place
$$;
comment on function statek.retention_at(text) is 'How long jobs at a prefix are kept after their end, by outcome, and which prefix says so; null: for ever, and by default.';

-- Each of the three is an interval, 'forever', 'inherit' (what the prefix above says), or null: as it is.
create function statek.set_retention(_prefix text, succeeded text default null, failed text default null, cancelled text default null) returns void
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  w record;
  span interval;
begin
  for w in select * from (values ('succeeded', succeeded), ('failed', failed), ('cancelled', cancelled)) v(outcome, wish) where wish is not null loop
    span := null;
    if w.wish = 'inherit' then
      delete from statek.retention r where r.prefix = _prefix and r.outcome = w.outcome;
      continue;
    end if;
    if w.wish <> 'forever' then
      begin
        span := w.wish::interval;
      exception when others then
        span := interval '0';
      end;
      if span <= interval '0' then
        raise exception '% is kept for %, which is no time', w.outcome, quote_literal(w.wish)
          using errcode = 'ST422', hint = 'an interval such as ''30 days'', or ''forever'', or ''inherit''';
      end if;
    end if;
    insert into statek.prefixes (path) values (_prefix) on conflict do nothing;
    insert into statek.retention as r (prefix, outcome, keep) values (_prefix, w.outcome, span)
      on conflict (prefix, outcome) do update set keep = excluded.keep, changed_at = excluded.changed_at;
  end loop;
end $$;
comment on function statek.set_retention(text, text, text, text) is
  'Says how long ended jobs are kept at a prefix and below: an interval, ''forever'', ''inherit'', or null to leave it.';
revoke execute on function statek.set_retention(text, text, text, text) from public;

-- No job is kept for less.
create function statek.least_retention() returns interval
  language sql stable
  return least(interval '30 days', (select min(r.keep) from statek.retention r));

-- The next _look jobs after an id, and since when each should be gone; null: it should not.
create function statek.prunable(_after uuid, _look integer)
  returns table (id uuid, due_since timestamptz)
  language sql stable
  set search_path = pg_catalog, pg_temp
  set enable_hashjoin = on as $$
  with old as materialized (
    select j.id, j.prefix, j.finished_at from statek.jobs j
    where j.id > _after and j.id < statek.uuid_at(statek.now() - statek.least_retention())
    order by j.id
    limit _look
  ), kept as materialized ( -- once for each prefix, not for each job
    select p.prefix, r.outcome, r.keep from (select distinct o.prefix::text from old o) p(prefix), statek.retention_at(p.prefix) r
  )
  select o.id, case when s.status = 'DONE' and s.owner is null and o.finished_at + k.keep <= statek.now() then o.finished_at + k.keep end
  from old o
  join statek.job_state s on s.job_id = o.id
  left join kept k on k.prefix = o.prefix and k.outcome = s.outcome
  order by o.id
$$;

-- Removes rows of jobs that are gone, at most about _rows, and no more than _rows of one table and job at a time: then there
-- may be more of them.
create function statek.prune_rows(_rows integer) returns integer
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off as $$
declare
  job uuid;
  h integer;
  v integer;
  u integer;
  total integer := 0;
begin
  for job in select p.job_id from statek.pruned p order by p.job_id limit 500 loop
    delete from statek.history x where x.job_id = job
      and x.seq in (select y.seq from statek.history y where y.job_id = job order by y.seq limit _rows);
    get diagnostics h = row_count;
    delete from statek.variables x where x.job_id = job
      and (x.name, x.cell_from) in (select y.name, y.cell_from from statek.variables y where y.job_id = job limit _rows);
    get diagnostics v = row_count;
    delete from statek.usage x where x.job_id = job
      and x.seq in (select y.seq from statek.usage y where y.job_id = job order by y.seq limit _rows);
    get diagnostics u = row_count;
    if greatest(h, v, u) < _rows then
      delete from statek.pruned p where p.job_id = job;
    end if;
    total := total + h + v + u;
    exit when total >= _rows;
  end loop;
  return total;
end $$;

-- One small step of the removal: looks at _look jobs, removes _most of them and about _rows rows of those removed before.
-- One worker at a time; nobody who works is waited for, and whoever has to wait for this waits for milliseconds. A crash
-- that takes a step back costs nothing, so its commit does not wait for the disk. more: there is more to do now.
--
-- Not removed are jobs that somebody is about to reopen (mail), parents and children of jobs that go on, and jobs whose end
-- somebody is just being told.
create function statek.prune(_look integer, _most integer, _rows integer, out jobs integer, out rows integer, out more boolean)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '100ms'
  set plan_cache_mode = force_generic_plan -- everything here is a few look-ups by key; a plan for 200 known ids may read whole
  set enable_seqscan = off                 -- tables instead (seen: 3 s a step)
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
declare
  begun uuid;
  seen uuid[];
  due uuid[];
  gone uuid[];
begin
  jobs := 0; rows := 0; more := false;
  if not pg_try_advisory_xact_lock(hashtext('statek.prune')) then
    return;
  end if;
  perform set_config('synchronous_commit', 'off', true);
  rows := statek.prune_rows(_rows);
  select p.reached into begun from statek.pruning p;
  select array_agg(p.id order by p.id), (array_agg(p.id order by p.id) filter (where p.due_since is not null))[:_most] into seen, due
    from statek.prunable(begun, _look) p;
  -- Both rows: mail needs the one (its foreign key), a claim the other. What they hold now is passed over until the next lap.
  select array_agg(l.id) into gone from (
    select j.id from statek.jobs j join statek.job_state s on s.job_id = j.id
    where j.id = any(due) and s.status = 'DONE' and s.owner is null
    order by j.id
    for update of j, s skip locked) l;
  -- A new snapshot, under the locks.
  select array_agg(g.id) into gone from unnest(gone) g(id)
    where not exists (select from statek.mailbox m where m.job_id = g.id)
      and not exists (select from statek.wait_deps d where d.dep = 'job:' || g.id)
      and not exists (select from statek.jobs j join statek.job_state s on s.job_id = j.parent_id where j.id = g.id and s.status <> 'DONE')
      and not exists (select from statek.jobs j join statek.job_state s on s.job_id = j.id where j.parent_id = g.id and s.status <> 'DONE');
  insert into statek.pruned (job_id) select g.id from unnest(gone) g(id) on conflict do nothing;
  delete from statek.jobs j where j.id = any(gone);
  get diagnostics jobs = row_count;
  -- The end of a lap is a look that came back with less than it might have.
  if cardinality(due) = _most then
    begun := due[_most];
  elsif coalesce(cardinality(seen), 0) = _look then
    begun := seen[_look];
  else
    begun := '00000000-0000-0000-0000-000000000000';
  end if;
  update statek.pruning p set reached = begun, removed = p.removed + prune.jobs,
    lapped_at = case when begun = '00000000-0000-0000-0000-000000000000' then statek.now() else p.lapped_at end;
  more := begun <> '00000000-0000-0000-0000-000000000000' or jobs > 0 or rows >= _rows;
end $$;
comment on function statek.prune(integer, integer, integer) is 'For workers: one small step of removing jobs whose time is over.';

-- Drops one monthly partition that is older than this month and holds nothing any more, and returns its name; null: there is
-- none, or somebody is using it. The lock that it needs stops everybody who uses the table, so it is waited for briefly.
create function statek.drop_empty_partition() returns text
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '50ms'
  set enable_seqscan = off as $$
declare
  month timestamp;
  p record;
  used boolean;
begin
  if not pg_try_advisory_xact_lock(hashtext('statek.prune')) then
    return null;
  end if;
  for p in
    select c.relname::text as name, r.relname::text as parent
    from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class r on r.oid = i.inhparent
    where r.relnamespace = 'statek'::regnamespace and r.relname in ('history', 'variables', 'usage') and c.relname ~ ('^' || r.relname || '_\d{6}$')
    order by right(c.relname, 6), c.relname
  loop
    month := to_timestamp(right(p.name, 6), 'YYYYMM')::timestamp;
    exit when month >= date_trunc('month', statek.now() at time zone 'utc');
    -- Without its jobs nobody writes to it: history is written under the lock of the job's row.
    if exists (select from statek.jobs j
        where j.id >= statek.uuid_at(month at time zone 'utc') and j.id < statek.uuid_at((month + interval '1 month') at time zone 'utc')) then
      continue;
    end if;
    execute format('select exists (select from statek.%I)', p.name) into used;
    if used then
      continue;
    end if;
    begin
      execute format('lock table statek.%I in access exclusive mode', p.parent);
      execute format('select exists (select from statek.%I)', p.name) into used;
      if not used then
        execute format('drop table statek.%I', p.name);
        return p.name;
      end if;
    exception when lock_not_available then
      return null; -- it is tried again
    end;
  end loop;
  return null;
end $$;
comment on function statek.drop_empty_partition() is 'For workers: drops one monthly partition that retention has emptied.';
