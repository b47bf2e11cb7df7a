drop function statek.release(uuid, bigint, uuid);
drop function statek.claim(uuid, uuid, boolean);
drop function statek.advance(uuid, bigint, uuid, integer, text, text, json, text, text, timestamptz);
drop function statek.ring(uuid[], boolean);
