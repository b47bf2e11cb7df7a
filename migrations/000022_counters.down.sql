drop table statek.counters;
