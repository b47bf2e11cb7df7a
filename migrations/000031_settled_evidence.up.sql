-- Wake evidence where waits are settled one by one: whoever settles them says why for each, or for all of its
-- transaction. And words for what jobs and objects let wait.
create or replace function statek.dep_text(_dep text) returns text
  language sql immutable parallel safe
  return case
    when _dep like 'job:%' then 'the end of job ' || substr(_dep, 5)
    when _dep like 'object:%' then case split_part(_dep, ':', 4)
      when '' then 'any object in '
      else 'the object ' || quote_literal(substr(_dep, length(split_part(_dep, ':', 2)) + length(split_part(_dep, ':', 3)) + 10)) || ' in '
    end || split_part(_dep, ':', 3) || ' at ' || split_part(_dep, ':', 2)
    when _dep like 'fact:%' then 'the event ' || quote_literal(substr(_dep, strpos(substr(_dep, 6), ':') + 6)) || ' at ' || split_part(substr(_dep, 6), ':', 1)
    when _dep like '%:*' then 'any row of ' || split_part(_dep, ':', 1)
    else split_part(_dep, ':', 1) || ' with the key ' || quote_literal(substr(_dep, strpos(_dep, ':') + 1))
  end;

create or replace function statek.wait_waker(_job uuid, _kind text, _prefix text, _due timestamptz, _deps text[], _recheck interval) returns text
  language sql stable
  return case _kind
    when 'sleep' then 'the clock'
    when 'until' then 'the clock'
    when 'approval' then format('a person: select statek.decide((select id from statek.approval_overview where job_id = %L and status = ''pending''), ''{"option": …}'', ''name'')', _job)
    when 'message' then format('a message: select statek.push_message(%L, ''"text"'')', _job)
    else concat_ws('; ',
      (select string_agg(case
          when d like 'object:%' then 'a committed change of ' || statek.dep_text(d)
          when d like 'job:%' then 'the end of job ' || substr(d, 5)
          when d like 'fact:%' then 'the event ' || quote_literal(substr(d, strpos(substr(d, 6), ':') + 6)) || ' at ' || split_part(d, ':', 2)
          when d like '%:*' then 'any committed change of ' || split_part(d, ':', 1)
          else 'a committed change of ' || split_part(d, ':', 1) || ' where the key is ' || quote_literal(substr(d, strpos(d, ':') + 1))
        end, ' or ' order by length(d) desc, d) from unnest(_deps) d),
      'its condition is looked at again every ' || _recheck)
  end || case when _kind in ('sleep', 'until') then '' else coalesce('; it times out at ' || _due, '') end;

drop function statek.settle_waits(bigint[], text[], json[]);
create function statek.settle_waits(_ids bigint[], _kinds text[], _payloads json[], _evidence json[] default null) returns bigint
  language plpgsql volatile
  set plan_cache_mode = force_generic_plan -- no planning at each wake-up
  set enable_seqscan = off as $$
declare
  won bigint[];
  decided bigint[];
  rung uuid[];
  n bigint;
  common json := nullif(current_setting('statek.woke', true), '')::json; -- of the whole transaction
begin
  perform from statek.waits w where w.id = any(_ids) and (w.set_id is not null or w.kind = 'approval') limit 1;
  if not found then -- nothing hangs on them: one statement
    with gone as (
      delete from statek.waits w where w.id = any(_ids) returning w.id, w.job_id, w.cell, w.call
    ),
    mail as (
      insert into statek.mailbox (job_id, kind, cell, call, payload, evidence)
      select g.job_id, i.kind, g.cell, g.call, i.payload, coalesce(i.evidence, common)
      from unnest(_ids, _kinds, _payloads, _evidence) with ordinality i(id, kind, payload, evidence, n)
      join gone g on g.id = i.id
      order by i.n
      returning job_id
    )
    select array_agg(distinct m.job_id), count(*) into rung, n from mail m;
    perform statek.ring(rung, false);
    return n;
  end if;
  select array_agg(x.id), array_agg(distinct x.set_id) filter (where x.decides)
    into won, decided
  from (
    select i.id, w.set_id, m.decides,
      w.set_id is not null and coalesce(bool_or(m.decides) over (
        partition by w.set_id order by i.n rows between unbounded preceding and 1 preceding), false) as lost
    from unnest(_ids, _kinds) with ordinality i(id, kind, n)
    join statek.waits w on w.id = i.id
    left join statek.wait_sets s on s.id = w.set_id
    cross join lateral (select s.mode = 'first' or i.kind = 'resolved') m(decides)
  ) x
  where not x.lost;
  with mail as (
    insert into statek.mailbox (job_id, kind, cell, call, payload, evidence)
    select w.job_id, i.kind, w.cell, w.call, i.payload, coalesce(i.evidence, common)
    from unnest(_ids, _kinds, _payloads, _evidence) with ordinality i(id, kind, payload, evidence, n)
    join statek.waits w on w.id = i.id
    where i.id = any(won)
    order by i.n
    returning job_id
  )
  select array_agg(distinct m.job_id), count(*) into rung, n from mail m;
  update statek.approvals a set status = 'expired', ended_at = statek.now()
  from statek.waits w
  where w.id = any(won) and w.kind = 'approval' and a.job_id = w.job_id and a.cell = w.cell and a.call = w.call
    and a.status = 'pending';
  perform statek.drop_waits(won, decided);
  perform statek.ring(rung, false);
  return n;
end $$;
comment on function statek.settle_waits(bigint[], text[], json[], json[]) is
  'For workers: ends waits that the caller holds, withdraws the losers of their sets, leaves mail and rings.';

create or replace function statek.fire_timers(_now timestamptz, _most integer) returns bigint
  language plpgsql volatile
  set enable_seqscan = off as $$
declare
  ids bigint[];
  kinds text[];
  evidence json[];
begin
  with due as materialized (
    select w.id, w.set_id from statek.waits w where w.due_at <= _now order by w.due_at limit _most
  ),
  sets as materialized (
    select s.id from statek.wait_sets s
    where s.id = any(array(select d.set_id from due d where d.set_id is not null))
    order by s.id
    for update skip locked
  ),
  locked as materialized (
    select w.id, w.kind, w.due_at, w.call
    from statek.waits w
    where w.id = any(array(select d.id from due d)) and w.due_at <= _now
      and (w.set_id is null or w.set_id in (select s.id from sets s))
    order by w.id
    for update of w skip locked
  )
  select array_agg(l.id order by l.due_at, l.id),
    array_agg(case when l.kind in ('sleep', 'until') then 'resolved' else 'timeout' end order by l.due_at, l.id),
    array_agg(json_build_object('by', 'timer', 'at', (extract(epoch from l.due_at) * 1000)::bigint) order by l.due_at, l.id)
    into ids, kinds, evidence
  from locked l;
  if ids is null then
    return 0;
  end if;
  return statek.settle_waits(ids, kinds, array_fill('null'::json, array[cardinality(ids)]), evidence);
end $$;
