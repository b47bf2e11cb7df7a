-- A value that was claimed has to reach the code that waits for it. One that is larger than any result may be was claimed all the same,
-- and the code was told of its size, not of what it had got: nobody could give it back. These pass on what fits, and raise otherwise, in
-- the transaction of the claim, which is taken back.
create function statek.claimed(_value json) returns json
  language plpgsql immutable as $$
begin
  if octet_length(_value::text) > 262144 then
    raise exception 'it has % bytes, and the value of a wait may have 262144: return a key, and read the rest with a tool', octet_length(_value::text)
      using errcode = 'program_limit_exceeded';
  end if;
  return _value;
end $$;
comment on function statek.claimed(json) is 'For workers: a value as it is, if it is small enough to be given to code.';

create function statek.all_claimed(_values json[]) returns json[]
  language sql immutable
  return (select array_agg(statek.claimed(v.value) order by v.n) from unnest(_values) with ordinality v(value, n));
comment on function statek.all_claimed(json[]) is 'For workers: values as they are, if each is small enough to be given to code.';

revoke execute on function statek.claimed(json), statek.all_claimed(json[]) from public;
