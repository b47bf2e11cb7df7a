-- A commit for many jobs found its arguments by a loop over all of them for each row: n times n comparisons, a third of the statement at
-- 64 jobs. Without loops the plan is a hash join of the rows, still by their key, with the arguments, whatever is known about the table.
-- What the function calls inherits its settings, and has joins of its own.
alter function statek.commit_jobs set enable_hashjoin = on;
alter function statek.commit_jobs set enable_nestloop = off;
alter function statek.mark_fact set enable_nestloop = on;
alter function statek.ring set enable_nestloop = on;
