-- Attempts: sentences for calls and model requests that are made again, how many attempts a reply took, and a counter of
-- replies that may have been paid for twice.
create or replace function statek.describe(_kind text, _cell integer, _call integer, _p jsonb, _wait boolean default false) returns text
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
    when 'call_failed' then concat(_p ->> 'name', ' failed (attempt ', _p ->> 'attempt', '): ', statek.fault(_p -> 'error'),
      case when (_p ->> 'pause')::boolean then '; there is no attempt left, and it pauses the job'
        else '; the next attempt is due at ' || statek.millis_text(_p -> 'retry_at') end)
    when 'call_retried' then concat('called ', _p ->> 'name', ' again, attempt ', _p ->> 'attempt')
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
      case when (_p ->> 'attempt')::integer > 1 then ', attempt ' || (_p ->> 'attempt') end,
      case when (_p ->> 'repeat')::boolean then '; an interruption lost the answer to the one before' end)
    when 'model_delayed' then concat('reply ', _p ->> 'turn', ' waits for its turn: ', _p ->> 'why', '; it is due at ', statek.millis_text(_p -> 'until'))
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
    when 'waits_joined' then concat('calls ', (select string_agg(c, ', ') from jsonb_array_elements_text(
        case jsonb_typeof(_p -> 'calls') when 'array' then _p -> 'calls' else '[]' end) c),
      ' compete: ', case _p ->> 'mode' when 'any' then 'the first to give a value' else 'the first to end' end, ' withdraws the others',
      '; call ' || nullif(_p ->> 'won', '0') || ' had ended before')
    when 'value_discarded' then concat('the value of ',
      coalesce(_p ->> 'name', concat('call ', coalesce(nullif(_call, 0)::text, _p ->> 'call'), ' of cell ', coalesce(nullif(_cell, 0)::text, _p ->> 'cell'))),
      ' came after its cell had ended and was set aside: ', statek.shorten(coalesce(_p ->> 'value', 'null')),
      case _p ->> 'release' when 'done' then '; it was released' else '; releasing it failed: ' || statek.shorten(nullif(_p ->> 'release', ''), 300) end)
    when 'paused' then 'paused: ' || statek.shorten(_p ->> 'reason', 300)
    when 'resumed' then concat('resumed', ' by ' || nullif(_p ->> 'by', ''))
    when 'reactivated' then 'reopened by a message'
    when 'finished' then concat(_p ->> 'outcome',
      case when _p ->> 'outcome' = 'succeeded' then ' with ' || statek.shorten(_p ->> 'result')
        else ': ' || statek.shorten(nullif(_p ->> 'error', ''), 300) end)
  end, _kind || ' ' || statek.shorten(_p::text));
comment on function statek.describe(text, integer, integer, jsonb, boolean) is 'A history row as a sentence.';

alter table statek.usage add column attempts integer not null default 1;
create index usage_attempts on statek.usage (attempts) where attempts > 1; -- statek doctor adds them up
comment on column statek.usage.attempts is 'Which attempt of the request was answered: all before it failed or were interrupted.';

comment on table statek.counters is
  'sweep_caught: waits whose wake-up was lost, and which the safety sweep served. It must be 0. wasted_replies: model requests that were repeated because an interruption had lost the answer.';
