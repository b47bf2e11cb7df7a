drop function statek.take_heads(bigint, integer, text);
drop function statek.drain_marks(integer, text[], boolean);
drop function statek.take_groups(bigint[], text[]);
