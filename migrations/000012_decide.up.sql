-- Answering questions, from SQL and, through the same function, from everywhere else.

-- Why a value does not fit a JSON Schema; null: it fits. The keywords are those that approval() accepts.
create function statek.schema_problem(_value jsonb, _schema jsonb, _path text) returns text
  language plpgsql immutable
  set search_path = pg_catalog, pg_temp as $$
declare
  kind text := jsonb_typeof(_value);
  problem text;
  r record;
begin
  if jsonb_typeof(_schema) = 'boolean' then
    return case when _schema = 'false' then _path || ' is not allowed' end;
  end if;
  if _schema ? 'type' and not exists (
      select from jsonb_array_elements_text(
        case jsonb_typeof(_schema -> 'type') when 'array' then _schema -> 'type' else jsonb_build_array(_schema -> 'type') end) t(name)
      where t.name = kind or t.name = 'integer' and kind = 'number' and (_value #>> '{}')::numeric % 1 = 0) then
    return format('%s must be of type %s, got %s', _path,
      coalesce((select string_agg(t, ' or ') from jsonb_array_elements_text(
        case jsonb_typeof(_schema -> 'type') when 'array' then _schema -> 'type' end) t), _schema ->> 'type'), kind);
  end if;
  if _schema ? 'const' and _value <> _schema -> 'const' then
    return format('%s must be %s', _path, _schema -> 'const');
  end if;
  if _schema ? 'enum' and not _schema -> 'enum' @> jsonb_build_array(_value) then
    return format('%s must be one of %s', _path, _schema -> 'enum');
  end if;
  if kind = 'number' then
    if (_value #>> '{}')::numeric < (_schema ->> 'minimum')::numeric then
      return format('%s must be at least %s, got %s', _path, _schema -> 'minimum', _value);
    elsif (_value #>> '{}')::numeric > (_schema ->> 'maximum')::numeric then
      return format('%s must be at most %s, got %s', _path, _schema -> 'maximum', _value);
    end if;
  elsif kind = 'string' then
    if length(_value #>> '{}') < (_schema ->> 'minLength')::numeric then
      return format('%s must have at least %s characters', _path, _schema -> 'minLength');
    elsif length(_value #>> '{}') > (_schema ->> 'maxLength')::numeric then
      return format('%s must have at most %s characters', _path, _schema -> 'maxLength');
    end if;
  elsif kind = 'array' then
    if jsonb_array_length(_value) < (_schema ->> 'minItems')::numeric then
      return format('%s must have at least %s items', _path, _schema -> 'minItems');
    elsif jsonb_array_length(_value) > (_schema ->> 'maxItems')::numeric then
      return format('%s must have at most %s items', _path, _schema -> 'maxItems');
    end if;
    if _schema ? 'items' then
      for r in select e.value, e.n from jsonb_array_elements(_value) with ordinality e(value, n) loop
        problem := statek.schema_problem(r.value, _schema -> 'items', format('%s[%s]', _path, r.n - 1));
        if problem is not null then
          return problem;
        end if;
      end loop;
    end if;
  elsif kind = 'object' then
    for r in select q.name from jsonb_array_elements_text(coalesce(_schema -> 'required', '[]')) q(name) loop
      if not _value ? r.name then
        return format('%s.%s is missing', _path, r.name);
      end if;
    end loop;
    for r in select e.key, e.value, coalesce(_schema -> 'properties' -> e.key, _schema -> 'additionalProperties') as rule
        from jsonb_each(_value) e loop
      problem := statek.schema_problem(r.value, r.rule, format('%s.%s', _path, r.key));
      if problem is not null then
        return problem;
      end if;
    end loop;
  end if;
  return null;
end $$;

-- What is wrong with an answer to a question; null: nothing.
create function statek.decision_problem(_a statek.approvals, _d jsonb) returns text
  language plpgsql stable
  set search_path = pg_catalog, pg_temp as $$
declare
  choices text;
  unknown text;
begin
  if jsonb_typeof(_d) is distinct from 'object' then
    return 'the decision must be an object such as {"option": "approve"}';
  end if;
  select string_agg(k, ', ' order by k) into unknown
  from jsonb_object_keys(_d) k where k not in ('option', 'text', 'args', 'comment');
  if unknown is not null then
    return format('the decision has unknown fields: %s; known are option, text, args, comment', unknown);
  end if;
  select string_agg(quote_ident(o ->> 'value'), ', ') into choices from json_array_elements(_a.options) o;
  if _d ? 'option' and (choices is null or jsonb_typeof(_d -> 'option') <> 'string' or not exists (
      select from json_array_elements(_a.options) o where o ->> 'value' = _d ->> 'option')) then
    return format('option must be one of %s, got %s', coalesce(choices, 'none: answer with text'), _d -> 'option');
  elsif _d ? 'text' and not _a.free_text then
    return format('text is not allowed here: answer with one of the options %s', choices);
  elsif _d ? 'text' and (jsonb_typeof(_d -> 'text') <> 'string' or length(_d ->> 'text') not between 1 and 20000) then
    return 'text must be a string of 1 to 20,000 characters';
  elsif not _d ? 'option' and not _d ? 'text' then
    return case when choices is null then 'text is missing'
      when _a.free_text then format('option or text is missing; the options are %s', choices)
      else format('option is missing; it must be one of %s', choices) end;
  elsif _d ? 'comment' and (jsonb_typeof(_d -> 'comment') <> 'string' or length(_d ->> 'comment') > 20000) then
    return 'comment must be a string of at most 20,000 characters';
  elsif _d ? 'args' and _a.args is null then
    return 'args is not allowed here: no arguments were proposed';
  elsif _d ? 'args' and _a.schema is not null then
    return statek.schema_problem(_d -> 'args', _a.schema::jsonb, 'args');
  end if;
  return null;
end $$;

-- Answers a question: _decision is {"option", "text", "args", "comment"}, as far as the question allows. Returns
-- what the job gets. The locks are taken in the order of everybody who ends a wait: set, wait, approval.
create function statek.decide(_approval uuid, _decision json, _by text) returns json
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  a statek.approvals;
  w record;
  problem text;
  value json;
begin
  if _by is null or length(_by) not between 1 and 200 then
    raise exception 'by must say who decides, in 1 to 200 characters' using errcode = 'invalid_parameter_value';
  end if;
  loop
    select x.id, x.set_id into w
    from statek.approvals q join statek.waits x on x.job_id = q.job_id and x.cell = q.cell and x.call = q.call
    where q.id = _approval;
    perform from statek.wait_sets s where s.id = w.set_id for update;
    perform from statek.waits x where x.id = w.id and x.set_id is not distinct from w.set_id for update;
    exit when found or w.id is null; -- else the job has put the wait into a set meanwhile
  end loop;
  select * into a from statek.approvals q where q.id = _approval for update;
  if a.id is null then
    raise exception 'there is no approval %', coalesce(_approval::text, 'null') using errcode = 'ST404', hint = 'select id from statek.approval_overview';
  elsif a.status = 'decided' then
    raise exception 'approval % was decided by % at %', _approval, a.decided_by, a.ended_at using errcode = 'ST409';
  elsif a.status = 'withdrawn' then
    raise exception 'approval % was withdrawn: its job does not wait for it any more', _approval using errcode = 'ST410';
  elsif a.status = 'expired' or a.expires_at <= statek.now() then
    raise exception 'approval % expired at %', _approval, a.expires_at using errcode = 'ST410';
  end if;
  begin
    problem := statek.decision_problem(a, _decision::jsonb);
  exception when untranslatable_character or invalid_text_representation then
    problem := 'the decision holds characters that cannot be stored, such as \u0000';
  end;
  if problem is not null then
    raise exception '%', problem using errcode = 'invalid_parameter_value';
  end if;
  -- As text, so that arguments keep their exact bytes.
  select ('{' || string_agg(to_json(f.name)::text || ':' || f.value, ',' order by f.n) || '}')::json into value
  from (values
    (1, 'option', (_decision -> 'option')::text), (2, 'text', (_decision -> 'text')::text),
    (3, 'args', coalesce(_decision -> 'args', a.args)::text), (4, 'comment', (_decision -> 'comment')::text),
    (5, 'by', to_json(_by)::text),
    (6, 'at', to_json(to_char(statek.now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))::text)
  ) f(n, name, value)
  where f.value is not null;
  update statek.approvals q set status = 'decided', decision = value, decided_by = _by, ended_at = statek.now()
  where q.id = _approval;
  perform statek.settle_waits(array[w.id], array['resolved'], array[value]);
  perform pg_notify('river.river_insert', '{"queue":"default"}');
  return value;
end $$;
revoke execute on function statek.decide(uuid, json, text) from public;
comment on function statek.decide(uuid, json, text) is
  'Answers a question of a job. ST404: no such approval; ST409: decided already; ST410: expired or withdrawn; 22023: not a possible answer.';

create view statek.approval_overview as
select a.id, a.prefix::text as prefix, a.job_id, a.status, a.title, statek.readable(a.options) as options, a.free_text,
  statek.readable(a.args) as args, statek.readable(a.schema) as schema, statek.readable(a.data) as data, a.assignee,
  statek.readable(a.decision) as decision, a.decided_by, a.created_at as created, a.expires_at as expires, a.ended_at as ended
from statek.approvals a;
comment on view statek.approval_overview is 'What jobs have asked people. Answer with statek.decide(id, decision, by).';
comment on column statek.approval_overview.status is 'pending; decided; expired; withdrawn: the job does not wait for it any more.';
