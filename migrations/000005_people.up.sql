-- What people and applications use: views that say in words what happened and what is waited for, and
-- functions for every write that one may want from plain SQL. The functions check what they are given and
-- run with the rights of their owner; nobody but the owner may call them until it is granted (docs/sql.md).

-- JSON that the store keeps byte for byte may hold what text and jsonb cannot: \u0000, lone surrogates and
-- numbers beyond numeric. A view must show such a row, not fail on it: those parts become U+FFFD.
create function statek.readable(_j json) returns jsonb
  language plpgsql immutable strict
  set search_path = pg_catalog, pg_temp as $$
declare
  bad constant text := '(?<!\\)((?:\\\\)*)\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})';
begin
  return _j::jsonb;
exception when others then
  begin
    return regexp_replace(_j::text, bad, '\1\\ufffd', 'g')::jsonb;
  exception when others then
    return jsonb_build_object('unreadable', 'JSON of ' || octet_length(_j::text) || ' bytes');
  end;
end $$;
comment on function statek.readable(json) is 'Stored JSON for people: as jsonb, with what jsonb cannot hold replaced by U+FFFD.';

-- One line of at most _max characters.
create function statek.shorten(_text text, _max integer default 160) returns text
  language sql immutable parallel safe
  return (select case when length(t.line) <= _max then t.line else left(t.line, _max - 1) || '…' end
          from (select trim(regexp_replace(_text, '\s+', ' ', 'g'))) t(line));
comment on function statek.shorten(text, integer) is 'The text on one line, cut to a length.';

-- An error of history as "Name: message".
create function statek.fault(_error jsonb) returns text
  language sql immutable parallel safe
  return statek.shorten(concat_ws(': ', nullif(_error ->> 'name', ''), _error ->> 'message'), 300);

-- The arguments of a call as they would be written in code.
create function statek.call_text(_p jsonb) returns text
  language sql immutable parallel safe
  return (_p ->> 'name') || '(' || statek.shorten(coalesce(
    case jsonb_typeof(_p -> 'args')
      when 'array' then (select string_agg(a.value::text, ', ' order by a.n)
                         from jsonb_array_elements(_p -> 'args') with ordinality a(value, n))
      else _p ->> 'args'
    end, '')) || ')';

create function statek.millis_text(_ms jsonb) returns text
  language sql stable parallel safe
  return to_char(to_timestamp((_ms #>> '{}')::bigint / 1000.0) at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS') || ' UTC';

-- A history row as a sentence. _wait says that a settled call was a wait.
create function statek.describe(_kind text, _cell integer, _call integer, _p jsonb, _wait boolean default false) returns text
  language sql stable
  return coalesce(case _kind
    when 'submitted' then concat('submitted', ' by ' || nullif(_p ->> 'source', ''),
      (select ' with ' || string_agg(v, ', ') from jsonb_array_elements_text(
        case jsonb_typeof(_p -> 'vars') when 'array' then _p -> 'vars' else '[]' end) v),
      ', to start at ' || statek.millis_text(_p -> 'run_at'))
    when 'taken_over' then concat('taken over: worker ', left(_p ->> 'worker', 8), ' had stopped in the middle of something')
    when 'cell_started' then concat(
      case _p ->> 'origin'
        when 'warmup' then 'warmup block ' || ((_p ->> 'index')::integer + 1)
        else 'the code of reply ' || (_p ->> 'index')
      end, ' started', case when (_p ->> 'hidden')::boolean then ' (hidden from the model)' end)
    when 'call_issued' then case _p ->> 'class' when 'wait' then 'waits for ' else 'called ' end || statek.call_text(_p)
    when 'call_settled' then concat(case when _wait then 'woke: ' end, _p ->> 'name',
      case when _p ? 'error' then ' failed: ' || statek.fault(_p -> 'error')
        else case when _wait then ' gave ' else ' returned ' end || statek.shorten(coalesce(_p ->> 'value', 'null'))
      end)
    when 'console' then 'printed: ' || statek.shorten(
      (select string_agg(l, ' ⏎ ') from jsonb_array_elements_text(
        case jsonb_typeof(_p -> 'lines') when 'array' then _p -> 'lines' else '[]' end) l))
    when 'suspended' then 'asleep: ' || coalesce(nullif(_p ->> 'why', ''), 'waits for ' ||
      (select string_agg(o, ', ') from jsonb_array_elements_text(
        case jsonb_typeof(_p -> 'on') when 'array' then _p -> 'on' else '[]' end) o))
    when 'cell_ended' then concat('cell ', _cell,
      case _p ->> 'state'
        when 'failed' then ' failed: ' || statek.fault(_p -> 'error')
        when 'aborted' then ' was aborted: ' || statek.fault(_p -> 'error')
        else case when _p ? 'exit' then ' ended with exit(' || statek.shorten(coalesce(_p #>> '{exit,result}', '')) || ')'
          else ' ended' || coalesce(' with ' || statek.shorten(nullif(_p ->> 'echo', '')), '') end
      end,
      (select '; ' || statek.shorten(string_agg(n, '; '), 300) from jsonb_array_elements_text(
        case jsonb_typeof(_p -> 'notes') when 'array' then _p -> 'notes' else '[]' end) n))
    when 'model_requested' then concat('asked model ', _p ->> 'model', ' for reply ', _p ->> 'turn',
      case when (_p ->> 'attempt')::integer > 1 then ', attempt ' || (_p ->> 'attempt') end)
    when 'model_replied' then concat('model ', _p ->> 'model', ' replied',
      case
        when coalesce(_p ->> 'bad', '') <> '' then ', but not usably: ' || statek.shorten(_p ->> 'bad', 300)
        when coalesce(_p ->> 'code', '') <> '' then (
          select ': ' || n || case n when 1 then ' line of code' else ' lines of code' end
          from (select cardinality(string_to_array(rtrim(_p ->> 'code', E'\r\n\t '), E'\n'))) c(n))
        else ': ' || statek.shorten(_p ->> 'text')
      end, ' (' || nullif(_p ->> 'note', '') || ')')
    when 'model_failed' then concat('the model request failed (attempt ', _p ->> 'attempt', '): ', statek.shorten(_p ->> 'error', 300),
      case when (_p ->> 'retryable')::boolean then '; the next attempt is due at ' || statek.millis_text(_p -> 'retry_at') end)
    when 'message_received' then 'message received: ' || statek.shorten(_p ->> 'payload')
    when 'value_discarded' then concat('the value of ',
      coalesce(_p ->> 'name', concat('call ', coalesce(nullif(_call, 0)::text, _p ->> 'call'), ' of cell ', coalesce(nullif(_cell, 0)::text, _p ->> 'cell'))),
      ' came after its cell had ended and was set aside: ', statek.shorten(coalesce(_p ->> 'value', 'null')))
    when 'paused' then 'paused: ' || statek.shorten(_p ->> 'reason', 300)
    when 'resumed' then concat('resumed', ' by ' || nullif(_p ->> 'by', ''))
    when 'reactivated' then 'reopened by a message'
    when 'finished' then concat(_p ->> 'outcome',
      case when _p ->> 'outcome' = 'succeeded' then ' with ' || statek.shorten(_p ->> 'result')
        else ': ' || statek.shorten(nullif(_p ->> 'error', ''), 300) end)
  end, _kind || ' ' || statek.shorten(_p::text));
comment on function statek.describe(text, integer, integer, jsonb, boolean) is 'A history row as a sentence.';

create view statek.job_overview as
select j.id, j.prefix::text as prefix, j.role as agent, j.agent_version as version, s.status, s.outcome,
  s.blocked_on, s.blocked_why, j.created_at as created, s.changed_at as changed, j.finished_at as finished, s.wake_at,
  coalesce((c.core ->> 'cells')::integer, 0) as cells,
  coalesce((c.core ->> 'turns')::integer, 0) as turns,
  coalesce((c.core ->> 'completions')::integer, 0) as completions,
  (select count(*) from statek.mailbox m where m.job_id = j.id) as mail,
  j.error, statek.readable(j.result) as result, j.tags, j.source, j.locale, j.key, j.priority, j.parent_id as parent,
  s.parked_on, s.owner as worker, w.host || ':' || w.pid as worker_host
from statek.jobs j
join statek.job_state s on s.job_id = j.id
cross join lateral (select statek.readable(s.core)) c(core)
left join statek.workers w on w.id = s.owner;
comment on view statek.job_overview is 'One row per job: where it is, what it waits for, what came out.';
comment on column statek.job_overview.blocked_on is 'What it waits for in a word: the name of a wait, retry, operator …';
comment on column statek.job_overview.blocked_why is 'The same as a sentence.';
comment on column statek.job_overview.cells is 'Pieces of code started so far.';
comment on column statek.job_overview.turns is 'Replies of the model so far.';
comment on column statek.job_overview.mail is 'Rows in its mailbox that it has not taken in.';
comment on column statek.job_overview.worker is 'The worker process that holds it; null: none.';

create view statek.job_timeline as
select h.job_id, h.seq, h.at,
  statek.describe(h.kind, h.cell, h.call, h.payload,
    h.call > 0 and bool_or(h.kind = 'call_issued' and h.payload ->> 'class' = 'wait') over (partition by h.job_id, h.cell, h.call)) as what,
  h.kind, h.cell, h.call
from (select job_id, seq, at, kind, cell, call, statek.readable(payload) as payload from statek.history) h
order by h.job_id, h.seq;
comment on view statek.job_timeline is 'What happened in a job, one sentence per fact. Filter by job_id.';
comment on column statek.job_timeline.what is 'The fact as a sentence; the exact bytes are in statek.history.';
comment on column statek.job_timeline.cell is 'The piece of code it happened in; 0: outside.';
comment on column statek.job_timeline.call is 'The host call it is about, numbered within the cell; 0: none.';

create view statek.blocked_jobs as
select j.id, j.prefix::text as prefix, j.role as agent, s.status,
  coalesce(s.blocked_on, s.parked_on) as blocked_on,
  coalesce(s.blocked_why, 'waits until ' || s.parked_on || ' is below its limit') as blocked_why,
  s.changed_at as since, statek.now() - s.changed_at as age,
  least(s.wake_at, w.due) as wakes, coalesce(w.waits, 0) as waits, w.error as last_error
from statek.job_state s
join statek.jobs j on j.id = s.job_id
left join lateral (
  select count(*) as waits, min(w.due_at) as due, string_agg(distinct w.name || ': ' || g.last_error, '; ') as error
  from statek.waits w left join statek.wait_groups g on g.id = w.group_id
  where w.job_id = s.job_id
) w on true
where s.status in ('READY', 'SUSPENDED', 'PAUSED', 'STARTED', 'WARMING_UP') and s.owner is null
  and (s.blocked_on is not null or s.parked_on is not null or s.status in ('SUSPENDED', 'PAUSED'));
comment on view statek.blocked_jobs is 'Jobs that wait for something, and for how long. statek.explain(id) says more about one.';
comment on column statek.blocked_jobs.wakes is 'When it wakes by itself: a sleep''s end, a timeout or the next attempt; null: never.';
comment on column statek.blocked_jobs.last_error is 'What went wrong when the conditions of its waits were last looked at.';

-- Who can end a wait.
create function statek.wait_waker(_job uuid, _kind text, _prefix text, _due timestamptz, _deps text[], _recheck interval) returns text
  language sql stable
  return case _kind
    when 'sleep' then 'the clock'
    when 'until' then 'the clock'
    when 'message' then format('a message: select statek.push_message(%L, ''"text"'')', _job)
    else concat_ws('; ',
      (select string_agg(case
          when d like 'fact:%' then 'the event ' || quote_literal(substr(d, strpos(substr(d, 6), ':') + 6)) || ' at ' || split_part(d, ':', 2)
          when d like '%:*' then 'any committed change of ' || split_part(d, ':', 1)
          else 'a committed change of ' || split_part(d, ':', 1) || ' where the key is ' || quote_literal(substr(d, strpos(d, ':') + 1))
        end, ' or ' order by length(d) desc, d) from unnest(_deps) d),
      'its condition is looked at again every ' || _recheck)
  end || case when _kind in ('sleep', 'until') then '' else coalesce('; it times out at ' || _due, '') end;

create function statek.explain(_job uuid)
  returns table (call integer, name text, kind text, why text, since timestamptz, due timestamptz, deps text[],
    last_result text, last_error text, last_at timestamptz)
  language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  o statek.job_overview;
begin
  select * into o from statek.job_overview v where v.id = _job;
  if o.id is null then
    raise exception 'there is no job %', coalesce(_job::text, 'null') using errcode = 'ST404', hint = 'select id from statek.job_overview';
  end if;
  return query select null::integer, o.agent, o.status,
    case
      when o.status = 'DONE' and o.outcome = 'succeeded' then 'it has succeeded; a message reopens it'
      when o.status = 'DONE' then concat('it was ', replace(o.outcome, 'failed', 'ended by a failure'), ': ' || o.error,
        format('; to reopen it: select statek.resume_job(%L)', _job))
      when o.status = 'PAUSED' then concat(coalesce(o.blocked_why, 'it is paused'), format('; to continue it: select statek.resume_job(%L)', _job))
      when o.worker is not null then 'worker ' || coalesce(o.worker_host, 'unknown') || ' is running it'
      when o.parked_on is not null then 'it waits until ' || o.parked_on || ' is below its limit'
      else coalesce(o.blocked_why, 'it waits for a free worker')
    end || case when o.mail > 0 then '; ' || o.mail || ' mailbox rows are waiting for it' else '' end,
    o.changed, o.wake_at, '{}'::text[], null::text, null::text, null::timestamptz;
  return query
    select w.call, w.name, w.kind, statek.wait_waker(_job, w.kind, o.prefix, w.due_at, d.deps, g.recheck),
      w.created_at, w.due_at, coalesce(d.deps, '{}'), g.last_result, g.last_error, g.last_at
    from statek.waits w
    left join statek.wait_groups g on g.id = w.group_id
    left join lateral (select array_agg(x.dep order by x.dep) as deps from statek.wait_deps x where x.group_id = w.group_id) d on true
    where w.job_id = _job
    order by w.cell, w.call;
end $$;
comment on function statek.explain(uuid) is
  'Why a job is where it is: first the job, then each open wait, who can end it, and how the last look went.';

-- The state of a job that somebody wants to write to.
create function statek.known_job(_job uuid, out status text, out outcome text)
  language plpgsql stable
  set search_path = pg_catalog, pg_temp as $$
begin
  select s.status, s.outcome into status, outcome from statek.job_state s where s.job_id = _job;
  if not found then
    raise exception 'there is no job %', coalesce(_job::text, 'null') using errcode = 'ST404', hint = 'select id from statek.job_overview';
  end if;
end $$;

create function statek.push_message(_job uuid, _payload json) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  most constant integer := 262144;
  j record;
  mail bigint;
begin
  j := statek.known_job(_job);
  if j.outcome in ('failed', 'cancelled') then
    raise exception 'job % has ended (%) and takes no messages', _job, j.outcome
      using errcode = 'ST409', hint = format('reopen it first: select statek.resume_job(%L)', _job);
  end if;
  if octet_length(_payload::text) > most then
    raise exception 'the message has % bytes, the limit is %', octet_length(_payload::text), most
      using errcode = 'ST413', hint = 'put the data into a table of yours and send its key';
  end if;
  insert into statek.mailbox (job_id, kind, payload) values (_job, 'message', coalesce(_payload, 'null')) returning id into mail;
  perform statek.ring(array[_job], true);
  return mail;
end $$;
comment on function statek.push_message(uuid, json) is
  'Sends a message to a job. A succeeded job is reopened by it; a failed or cancelled one refuses it (ST409).';

create function statek.cancel_job(_job uuid, _reason text default null) returns boolean
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  if (statek.known_job(_job)).status = 'DONE' then
    return false;
  end if;
  insert into statek.mailbox (job_id, kind, payload) values (_job, 'cancel', coalesce(to_json(_reason), 'null'));
  perform statek.ring(array[_job], true);
  return true;
end $$;
comment on function statek.cancel_job(uuid, text) is 'Asks for a job to be cancelled, wherever it is; false when it has ended already.';

create function statek.pause_job(_job uuid, _reason text default null) returns boolean
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  if (statek.known_job(_job)).status in ('DONE', 'PAUSED') then
    return false;
  end if;
  insert into statek.mailbox (job_id, kind, payload) values (_job, 'pause', coalesce(to_json(_reason), 'null'));
  perform statek.ring(array[_job], true);
  return true;
end $$;
comment on function statek.pause_job(uuid, text) is 'Asks for a job to be paused; false when it has ended or is paused already.';

create function statek.resume_job(_job uuid, _by text default null) returns boolean
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  j record;
begin
  j := statek.known_job(_job);
  if j.status <> 'PAUSED' and coalesce(j.outcome, 'succeeded') = 'succeeded' then
    return false;
  end if;
  insert into statek.mailbox (job_id, kind, payload) values (_job, 'resume', to_json(coalesce(_by, session_user::text)));
  perform statek.ring(array[_job], true);
  return true;
end $$;
comment on function statek.resume_job(uuid, text) is
  'Continues a paused job, or reopens a failed or cancelled one, with its budgets renewed; false for any other.';

revoke execute on function statek.explain(uuid), statek.push_message(uuid, json), statek.cancel_job(uuid, text), statek.pause_job(uuid, text),
  statek.resume_job(uuid, text) from public;
