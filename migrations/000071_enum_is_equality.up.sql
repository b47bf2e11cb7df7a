-- A value of an enum is equal to one of its list. It was enough that one contained it: {"a": 1} passed for {"a": 1, "b": 2}, and [] for any list.
create or replace function statek.schema_problem(_value jsonb, _schema jsonb, _path text) returns text
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
  if _schema ? 'enum' and not exists (select from jsonb_array_elements(_schema -> 'enum') e(value) where e.value = _value) then
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
