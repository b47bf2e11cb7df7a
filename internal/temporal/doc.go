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
// to_json writes them; a complement must return columns and at most one row. A waiter of an event gets the
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
// A group owes looks: rows of wait_checks. A registration R adds, in the transaction that commits the wait
// and its deps, one check without a settle_xid. Later a stamp S, a transaction of its own with this one
// statement, gives the check its own transaction id: settle_xid = xid(S). A check is due when settle_xid <=
// pg_snapshot_xmin of the current snapshot, and a look takes due checks out in the transaction in which it
// looks, the looking being a later statement. Take a writer W that makes the condition true.
//
//   - W's trigger saw R's deps. Then W's transaction holds a mark, committed with the data. Consuming the
//     mark turns it, in one statement, into a due check of the group; the look that takes that check out
//     has a younger snapshot, so it sees W's data.
//   - W's trigger did not see them, and W is READ COMMITTED. The trigger probes in a statement of its own,
//     so R committed after that snapshot; W had its xid before it (it had written a row). S's snapshot sees
//     R's check, and xid(S) is allocated after that snapshot. So xid(W) < xid(S), and while W runs no
//     snapshot's xmin reaches settle_xid. When the check is due W is over, and the look sees its data.
//   - W is REPEATABLE READ or SERIALIZABLE: its snapshot may be older than R whatever the order, so its
//     trigger always marks. If the mark was consumed by a statement that did not see R's deps, then W had
//     committed before that snapshot, which R's commit followed; the look owed by R's check sees W's data.
//
// Hence the rules. The stamp is the only statement of its transaction, and its xid is its own: the xmax of a
// snapshot is the last completed id plus one, which running writers may exceed. Marks and checks are
// append-only, without uniqueness, and taken out by DELETE: "do nothing on conflict" forgets the second
// writer, a cursor forgets the late committer. A group that somebody else is looking at keeps its checks,
// and whoever looks asks for new ones after its commit. A settle_xid above the current xmax comes from a
// restored dump and is stamped anew. A look never trusts SKIP LOCKED alone: a row skipped because it was
// locked may be free again without any mark (its holder rolled back), so "ready but nothing to take" is
// [Contended] and is looked at again, as is a waiter that was skipped.
//
// # What may go wrong
//
// A long transaction of any application delays the due date of checks, never marks. Writes that fire no
// statement trigger (logical replication, ATTACH PARTITION with rows, ALTER COLUMN … USING, a table whose
// watch was dropped) leave no mark; a failing mark becomes a warning and a count. For these there is a slow
// sweep, which counts what it finds. A condition that becomes true without a write must declare a recheck.
// SQL that fails parks its group with the error, and it alone.
//
// This package must not touch a database, a clock, a file or randomness: times come in as values.
package temporal
