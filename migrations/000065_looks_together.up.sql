-- Looks in common (ADR 26) at groups of one temporal: what is asked for each of them is one statement for all.

-- Locks the waiters of groups that the caller has taken, of those that have just one waiter, outside of sets, that nobody
-- else holds. The others are looked at alone.
create function statek.take_single_heads(_groups bigint[])
  returns table (group_id bigint, id bigint, job_id uuid)
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off as $$
begin
  return query
  with single as materialized (
    select f.id
    from unnest(_groups) as g(id)
    cross join lateral (
      select min(i.id) as id
      from (select w.id, w.set_id from statek.waits w where w.group_id = g.id order by w.id limit 2) i
      having count(*) = 1 and count(i.set_id) = 0) f
  )
  select w.group_id, w.id, w.job_id
  from statek.waits w
  where w.id = any(array(select s.id from single s)) and w.set_id is null
  order by w.id
  for update of w skip locked;
end $$;
comment on function statek.take_single_heads(bigint[]) is 'For workers: locks the only waiters of groups that the caller has taken.';

-- statek.row_json for rows of the same columns, whose values follow one another.
create function statek.rows_json(_names text[], _types oid[], _values text[]) returns json[]
  language plpgsql stable as $$
declare
  list text;
  result json[];
begin
  select string_agg(format('$1[i + %s]::%s as %I', i, format_type(_types[i], null), _names[i]), ', ' order by i)
    into list
  from generate_subscripts(_names, 1) i;
  execute format('select array(select row_to_json(r) from generate_series(0, cardinality($1) - 1, %s) i cross join lateral (select %s) r order by i)',
    cardinality(_names), list) into result using _values;
  return result;
end $$;

-- Writes what came of looks that did not fail, as far as it says anything new: see the query WaitGroupRecord.
create function statek.record_looks(_groups bigint[], _results text[], _attempts integer[], _retries timestamptz[],
    _marks bigint[], _deps text[], _ats timestamptz[], _now timestamptz) returns void
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off as $$
begin
  update statek.wait_groups g
  set retry_at = _retries[l.n], attempts = _attempts[l.n], last_result = _results[l.n], last_error = null, last_at = _now,
    touched_dep = case when _marks[l.n] > 0 then _deps[l.n] else g.touched_dep end,
    touched_at = case when _marks[l.n] > 0 then _ats[l.n] else g.touched_at end,
    touches = g.touches + _marks[l.n]
  from generate_subscripts(_groups, 1) as l(n)
  where g.id = _groups[l.n]
    and (_marks[l.n] > 0 or g.retry_at is not null or _retries[l.n] is not null or g.attempts <> _attempts[l.n]
      or g.last_result is distinct from _results[l.n] or g.last_error is not null
      or g.last_at is null or g.last_at < _now - interval '10 seconds');
end $$;
comment on function statek.record_looks(bigint[], text[], integer[], timestamptz[], bigint[], text[], timestamptz[], timestamptz) is
  'For workers: writes what came of looks at groups that the caller has taken.';
