// Package temporal is the pure core of waiting: which waits exist, how a call becomes one, which waits are
// evaluated together, and what follows from a look at them.
//
// A temporal is a named wait with a condition (is anything ready?) and a complement (take it for one
// waiter). [ParseDefinition] reads one from its file, [Plan] turns a call in a cell into a [Spec], and
// [After] decides what follows from an evaluation. All waits with the same [Group] are looked at once and
// served first come, first served. Internal/store does the looking.
//
// # Values
//
// A waiter of an SQL temporal gets the complement's row as an object of its columns, written as Postgres'
// to_json writes them; a complement must return columns and at most one row, of at most 262,144 bytes as JSON, or
// nothing is claimed. A waiter of an event gets the
// fact's payload; of a job {id, outcome, result, error}; of an approval the answer; a sleep, an until: null.
//
// # Sets
//
// Waits that compete share a [Set]. Whoever ends a member has locked the set's row before the wait's, and takes
// the other members back in the same transaction: they cannot claim any more. A member that is looked at while
// another one is being ended is skipped, and its group is contended until that has been decided.
//
// # Deps
//
// A dep names data that a condition reads. Writers leave a mark for each dep they touch and somebody waits
// for; marks lead to groups, and so a write costs its watchers and nobody else.
//
//	app.tasks:<key>              rows of app.tasks whose key column is <key>
//	app.tasks:*                  any row of app.tasks
//	fact:/acme/dev:<name>        facts of that name emitted at that prefix
//	fact:/acme/dev:<name>#<key>  the same, with that key
//	object:/acme/dev:<collection>:<key>  that object; without a key: any of the collection
//	job:<id>                     the end of that job
//
// Keys are compared as text on both sides, so only types whose equal values have one text can be keys, and
// [Plan] brings arguments to that text. A key over 200 bytes is replaced by its digest ([DepKey]).
//
// # Why no wake-up is lost
//
// The actors. A registration R commits a wait, its group and its deps, and with them one check, a row of
// wait_checks without a settle_xid. A stamp S, a later transaction of this one statement, gives checks its own
// transaction id: settle_xid = xid(S). A writer W changes a row, and its trigger, in the same transaction, probes
// wait_deps, in one statement, and appends a mark to dirty for each dep that somebody has. A drain D takes marks out, in
// one statement with putting due checks in for those of their groups in which it sees a wait. A look L locks the group,
// takes its due checks out, and then, in later statements, asks the condition and serves. It may be of several groups, and
// may begin in the transaction of the drain: if it dies, marks and checks are there again. A check is due when settle_xid <=
// xmin of the look's snapshot; the checks that drains put in have settle_xid 0.
//
// The claim. If R and W commit and W makes R's condition true, then some look begins after both commits, sees
// W's data, and is owed until it has happened. Take the three ways in which W can miss or see R.
//
//   - W's trigger saw the deps of R's group. Then W's transaction holds a mark, committed with the data. If the drain that
//     takes the mark out sees R's wait it puts a due check in, in one statement; the look that takes that check out has
//     a younger snapshot, so it sees W's data. If it does not (the group was there already, or still, for others), W had
//     committed before the drain's snapshot, which R's commit followed; the look owed by R's check sees W's data.
//   - W's trigger did not see them, and W is READ COMMITTED. The trigger probes in a statement of its own, so R
//     committed after that snapshot; W had its xid before it (it had written a row). S's snapshot sees R's check,
//     and xid(S) is allocated after that snapshot. So xid(W) < xid(S), and while W runs, in a savepoint or prepared
//     too, no snapshot's xmin reaches settle_xid. When the check is due W is over, and the look sees its data.
//   - W is REPEATABLE READ or SERIALIZABLE: its snapshot may be older than R whatever the order, so its trigger
//     always marks. If a drain took that mark out without seeing R's deps, then W had committed before the drain's
//     snapshot, which R's commit followed; the look owed by R's check sees W's data.
//
// The same holds for facts: emit probes and marks as a trigger does.
//
// # What the proof needs, and what shows it
//
// Each line is a rule that loses wake-ups when it is broken, and the test of package store that fails then.
// TestNoWakeUpIsLost steps real sessions through all orders of R's four steps, of one or two writers' in every
// isolation level, ended by commit, rollback or prepare and commit, and of a drain; a sweep then finds nothing.
//
//   - The stamp's id is its own: the xmax of a snapshot is the last completed id plus one, which running writers
//     may exceed. TestNoWakeUpIsLost, transactions and pairs.
//   - The stamp is the only statement of its transaction, so its id is younger than its snapshot; and it is later
//     than the registration's commit. The same.
//   - The trigger probes in a statement of its own, and a blind writer always marks. The same; the marks themselves
//     in TestEveryWriteLeavesItsMarks.
//   - Marks and checks are append-only, without uniqueness, and taken out by DELETE: "do nothing on conflict"
//     forgets the second writer, a cursor forgets the late committer. The pairs of writers.
//   - The deps of a write are those of all rows it changed, as they were and as they are, whatever statement did it
//     and through whatever relation: TestEveryWriteLeavesItsMarks, TestKeysOfEveryType.
//   - A mark's key and a wait's are one text for equal values: TestKeysAgree, TestApplyReviewsSQL (package app).
//   - Taking a check out and looking are one transaction: a look that dies owes itself again. TestEvaluatorsClaimEachRowOnce.
//   - A drain that goes on as a look has the group's lock. If somebody else has it, the drain commits its checks and tries
//     once more, since whoever holds the lock may have asked what is owed before. TestManyLookersWakeEachOnce.
//   - Groups that are looked at together are all taken back when one is out of the ordinary, and looked at alone:
//     TestOddGroupsAreLookedAtAlone, TestLookThatDiesLeavesItsMarks.
//   - A group that somebody else is looking at keeps its checks, and whoever looks asks for new ones after its
//     commit; who finds it taken right after a registration leaves a check. TestTryNowServesAndSettlesAtOnce,
//     TestInsertWakesExactlyOneInOrder.
//   - A look never trusts SKIP LOCKED alone: a row skipped because it was locked may be free again without any mark
//     (its holder rolled back), so "ready but nothing to take" is [Contended] and is looked at again, as is a waiter
//     that was skipped. TestContendedIsNotForgotten, TestWithdrawHoldsOffTheEvaluator.
//   - A group is collected only under its lock and when a later snapshot shows no wait: TestCollectingSparesARegistration.
//   - A settle_xid above the current xmax comes from a restored dump and is stamped anew: TestRestoredStampIsMadeAnew.
//   - A notification is a hint: without one, or without any listener, a tick finds marks within a second.
//     TestNotifyIsAHint, TestThroughAPoolerInTransactionMode (package app).
//
// And none is doubled: a wait's row is locked before its value is claimed and deleted with the claim and the mail, so a
// second look, a timer or a withdrawal finds it gone. TestTwoWritersServeTwoWaiters, TestResolveOrTimeoutNeverBoth.
//
// # What may go wrong
//
// A long transaction of any application delays the due date of checks, never marks. Writes that fire no
// statement trigger (logical replication, ATTACH PARTITION with rows, ALTER COLUMN … USING, a table whose
// watch was dropped) leave no mark; a failing mark becomes a warning and a count, and never harms the write
// (TestOurOwnLocksDoNotHoldWriters). For these there is a slow sweep, which counts what it finds ([Sweep]); and a watch that is
// mended marks for all who wait for the table (TestMendingAWatchWakesWhoWaited). A
// condition that becomes true without a write must declare a recheck. SQL that fails, blocks or is slow parks its
// group with the error, and it alone (TestBrokenTemporalParksOnlyItself, TestParkedGroupIsNotRunByMarks).
//
// This package must not touch a database, a clock, a file or randomness: times come in as values.
package temporal
