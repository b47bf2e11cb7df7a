drop function statek.record_looks(bigint[], text[], integer[], timestamptz[], bigint[], text[], timestamptz[], timestamptz);
drop function statek.rows_json(text[], oid[], text[]);
drop function statek.take_single_heads(bigint[]);
