alter function statek.ring reset enable_nestloop;
alter function statek.mark_fact reset enable_nestloop;
alter function statek.commit_jobs reset enable_nestloop;
alter function statek.commit_jobs set enable_hashjoin = off;
