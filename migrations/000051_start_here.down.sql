drop function statek.submit_jobs(bigint, uuid, uuid[], boolean[], text[], uuid[], text[], integer[], text[], text[], text[], smallint[], text[],
    timestamptz[], text[], timestamptz[], text[], text[], text[], integer[], text[], text[], text[]);

-- Submits jobs that have no business key: all their rows and their doorbells. Jobs that start later are not rung.
-- _generation is that of the definitions they were planned with.
create function statek.submit_jobs(_generation bigint, _ids uuid[], _prefixes text[], _agents uuid[], _roles text[], _versions integer[],
    _sources text[], _locales text[], _tags text[], _priorities smallint[], _specs text[], _ats timestamptz[],
    _cores text[], _wake_at timestamptz[], _blocked_on text[], _blocked_why text[], _submitted text[],
    _var_of integer[], _names text[], _values text[], _types text[]) returns void
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_hashjoin = off
  set enable_mergejoin = off as $$
begin
  perform statek.check_generation(_generation);
  insert into statek.prefixes (path)
    select distinct p.path from unnest(_prefixes) as p(path)
    where not exists (select from statek.prefixes x where x.path = p.path)
    order by 1
    on conflict do nothing;
  insert into statek.jobs (id, prefix, agent_id, role, agent_version, source, locale, tags, priority, spec, created_at)
    select n.id, n.prefix, n.agent, n.role, n.version, n.source, n.locale, n.tags::text[], n.priority, n.spec::json, n.at
    from unnest(_ids, _prefixes, _agents, _roles, _versions, _sources, _locales, _tags, _priorities, _specs, _ats)
      as n(id, prefix, agent, role, version, source, locale, tags, priority, spec, at);
  insert into statek.job_state (job_id, status, core, seq, wake_at, blocked_on, blocked_why)
    select n.id, 'READY', n.core::json, 1, n.wake_at, n.blocked_on, n.blocked_why
    from unnest(_ids, _cores, _wake_at, _blocked_on, _blocked_why) as n(id, core, wake_at, blocked_on, blocked_why);
  insert into statek.history (job_id, seq, kind, at, payload)
    select n.id, 1, 'submitted', n.at, n.payload::json from unnest(_ids, _ats, _submitted) as n(id, at, payload);
  insert into statek.variables (job_id, name, cell_from, value, type, bytes)
    select _ids[v.of], v.name, 0, v.value::json, v.type, octet_length(v.value)
    from unnest(_var_of, _names, _values, _types) as v(of, name, value, type);
  perform statek.ring(array(select n.id from unnest(_ids, _wake_at) as n(id, wake_at) where n.wake_at is null));
end $$;
comment on function statek.submit_jobs(bigint, uuid[], text[], uuid[], text[], integer[], text[], text[], text[], smallint[], text[], timestamptz[],
    text[], timestamptz[], text[], text[], text[], integer[], text[], text[], text[]) is
  'For the API: inserts jobs without business keys, and rings those that may start.';
