-- What all workers together ask of a model provider: so many requests and tokens a minute. One row for each provider, written
-- by one statement that tells the caller when its turn is.
create table statek.rates (
  provider    text primary key,
  rpm         integer not null, -- as it was told last; 0: any number
  tpm         integer not null,
  requests_at timestamptz not null, -- when all that was drawn so far has been earned
  tokens_at   timestamptz not null
);
comment on table statek.rates is 'Turns that workers have drawn with model providers; X_RPM and X_TPM set the rates.';

-- Draws requests and tokens, and returns in how many seconds they may be used. What is drawn is drawn: turns are given in the
-- order of the calls. A second's worth, or one draw, may come at once. When the rate changes, what is owed changes with it.
create function statek.draw(_provider text, _rpm integer, _tpm integer, _requests integer, _tokens integer) returns double precision
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp as $$
declare
  second constant interval := '1 second';
  request_cost constant interval := case when _rpm > 0 then second * (60.0 * _requests / _rpm) else '0' end;
  token_cost constant interval := case when _tpm > 0 then second * (60.0 * _tokens / _tpm) else '0' end;
  at_requests timestamptz;
  at_tokens timestamptz;
begin
  insert into statek.rates as r (provider, rpm, tpm, requests_at, tokens_at)
    values (_provider, _rpm, _tpm, clock_timestamp() + request_cost, clock_timestamp() + token_cost)
    on conflict (provider) do update
    set rpm = _rpm, tpm = _tpm,
      requests_at = clock_timestamp() + request_cost
        + greatest(r.requests_at - clock_timestamp(), '0') * case when _rpm > 0 and r.rpm > 0 then r.rpm::float8 / _rpm else 1 end,
      tokens_at = clock_timestamp() + token_cost
        + greatest(r.tokens_at - clock_timestamp(), '0') * case when _tpm > 0 and r.tpm > 0 then r.tpm::float8 / _tpm else 1 end
    returning r.requests_at, r.tokens_at into at_requests, at_tokens;
  return greatest(0,
    case when _rpm > 0 then extract(epoch from at_requests - clock_timestamp() - greatest(request_cost, second)) end,
    case when _tpm > 0 then extract(epoch from at_tokens - clock_timestamp() - greatest(token_cost, second)) end);
end $$;
comment on function statek.draw(text, integer, integer, integer, integer) is
  'For workers: draws a turn with a provider; the answer is in how many seconds it comes.';
revoke execute on function statek.draw(text, integer, integer, integer, integer) from public;
