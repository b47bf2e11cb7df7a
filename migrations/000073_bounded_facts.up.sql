-- An event and an answer are as large as a message at most, over SQL too: the code that waits for it could not be given more, and an event
-- is copied for each job that hears of it.
create or replace function statek.emit(_prefix text, _name text, _payload json default 'null', _key text default null) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  fact bigint;
  dep text;
begin
  if _prefix is null or not (_prefix = '/' or _prefix ~ '^(/[a-zA-Z0-9_.-]{1,64}){1,16}$') then
    raise exception 'prefix % is not a path such as /acme/triage', coalesce(quote_literal(_prefix), 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if _name is null or length(_name) not between 1 and 200 then
    raise exception 'the name of an event must have 1 to 200 characters' using errcode = 'invalid_parameter_value';
  end if;
  if length(_key) not between 1 and 1000 then
    raise exception 'the key of an event must have 1 to 1000 characters, or be null' using errcode = 'invalid_parameter_value';
  end if;
  if octet_length(_payload::text) > 262144 then
    raise exception 'the payload of an event has % bytes, the limit is 262144', octet_length(_payload::text)
      using errcode = 'ST413', hint = 'put the data into a table of yours and send its key';
  end if;
  insert into statek.facts (prefix, name, key, payload)
  values (_prefix, _name, _key, coalesce(_payload, 'null'))
  on conflict (prefix, name, key) where key is not null do nothing
  returning id into fact;
  if fact is null then
    return null;
  end if;
  dep := 'fact:' || _prefix || ':' || _name;
  perform statek.mark_fact(case when _key is null then array[dep] else array[dep, dep || '#' || statek.dep_key(_key)] end);
  return fact;
end $$;

create or replace function statek.decide(_approval uuid, _decision json, _by text) returns json
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
  if octet_length(value::text) > 262144 then
    raise exception 'args are too large: the answer has % bytes, the limit is 262144', octet_length(value::text) using errcode = 'ST413';
  end if;
  update statek.approvals q set status = 'decided', decision = value, decided_by = _by, ended_at = statek.now()
  where q.id = _approval;
  perform statek.settle_waits(array[w.id], array['resolved'], array[value]);
  perform pg_notify('river.river_insert', '{"queue":"default"}');
  return value;
end $$;
