drop function statek.drop_empty_partition(), statek.prune(integer, integer, integer), statek.prune_rows(integer), statek.prunable(uuid, integer),
  statek.least_retention(), statek.set_retention(text, text, text, text), statek.retention_at(text), statek.default_retention(text);
drop table statek.pruned, statek.pruning, statek.retention;
