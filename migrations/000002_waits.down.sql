drop table statek.fact_deliveries, statek.facts, statek.watches, statek.dirty, statek.wait_deps, statek.waits, statek.wait_checks,
  statek.wait_sets, statek.wait_groups;
