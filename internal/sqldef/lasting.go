package sqldef

import "strings"

// lasting says what is wrong with a word whose effect outlives its transaction, on a connection that calls of other jobs have next;
// empty when nothing is. before is the token before it.
func lasting(text, before string) string {
	text, before = strings.ToLower(text), strings.ToLower(before)
	switch text {
	case "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared":
		return text + " keeps its lock when the transaction is over: use " + strings.Replace(text, "advisory_", "advisory_xact_", 1)
	case "into":
		if before != "insert" && before != "merge" && before != "as" && before != "." {
			return "SELECT INTO makes a table: a statement reads or writes rows of those that are there"
		}
	}
	return ""
}
