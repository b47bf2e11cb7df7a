-- Submits jobs that have no business key: all their rows and their doorbells. Jobs that start later are not rung.
-- _generation is that of the definitions they were planned with. _taker is a worker that wants those of _wanted; it gets
-- them at epoch 1 unless it is dead by now or a limit applies, where a claim has to find a seat. The answer lists what it got.
create or replace function statek.submit_jobs(_generation bigint, _taker uuid, _ids uuid[], _wanted boolean[], _prefixes text[], _agents uuid[], _roles text[],
    _versions integer[], _sources text[], _locales text[], _tags text[], _priorities smallint[], _specs text[], _ats timestamptz[],
    _cores text[], _wake_at timestamptz[], _blocked_on text[], _blocked_why text[], _submitted text[],
    _var_of integer[], _names text[], _values text[], _types text[]) returns uuid[]
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off as $$
declare
  taken uuid[] := '{}';
begin
  if _generation <> 0 and _generation is distinct from (select c.generation from statek.catalog c) then
    perform statek.check_generation(_generation);
  end if;
  insert into statek.prefixes (path)
    select distinct p.path from unnest(_prefixes) as p(path)
    where not exists (select from statek.prefixes x where x.path = p.path)
    order by 1
    on conflict do nothing;
  insert into statek.jobs (id, prefix, agent_id, role, agent_version, source, locale, tags, priority, spec, created_at)
    select n.id, n.prefix, n.agent, n.role, n.version, n.source, n.locale, n.tags::text[], n.priority, n.spec::json, n.at
    from unnest(_ids, _prefixes, _agents, _roles, _versions, _sources, _locales, _tags, _priorities, _specs, _ats)
      as n(id, prefix, agent, role, version, source, locale, tags, priority, spec, at);
  if true = any(_wanted) and exists (select from statek.workers w where w.id = _taker and w.dead_at is null) then
    taken := array(select n.id from unnest(_ids, _wanted, _wake_at) as n(id, wanted, wake_at) where n.wanted and n.wake_at is null);
    if exists (select from statek.limits) then
      taken := array(select t.id from unnest(taken) as t(id) where t.id not in (select o.job from statek.limits_of(taken) o));
    end if;
  end if;
  insert into statek.job_state (job_id, status, core, seq, wake_at, blocked_on, blocked_why, epoch, owner)
    select n.id, 'READY', n.core::json, 1, n.wake_at, n.blocked_on, n.blocked_why,
      case when n.id = any(taken) then 1 else 0 end, case when n.id = any(taken) then _taker end
    from unnest(_ids, _cores, _wake_at, _blocked_on, _blocked_why) as n(id, core, wake_at, blocked_on, blocked_why);
  insert into statek.history (job_id, seq, kind, at, payload)
    select n.id, 1, 'submitted', n.at, n.payload::json from unnest(_ids, _ats, _submitted) as n(id, at, payload);
  if cardinality(_names) > 0 then
    insert into statek.variables (job_id, name, cell_from, value, type, bytes)
      select _ids[v.of], v.name, 0, v.value::json, v.type, octet_length(v.value)
      from unnest(_var_of, _names, _values, _types) as v(of, name, value, type);
  end if;
  if cardinality(taken) < cardinality(_ids) then
    perform statek.ring(array(select n.id from unnest(_ids, _wake_at) as n(id, wake_at) where n.wake_at is null and n.id <> all(taken)));
  end if;
  return taken;
end $$;
