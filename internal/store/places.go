package store

// A transaction of a call waits for its job's turn while it holds a connection, and whoever has the turn may need one to write with. So
// all that may wait like that, at once, leave one of the pool: calls in places of their workers, calls that came out of a batch, those
// that were begun with the commit of others, and one batch.

// ToolPlaces is how many calls a worker with so many connections may run at once in transactions of their own.
func ToolPlaces(conns int) int {
	return max(1, min(max(2, conns-6), conns-2-alonePlaces(conns)-chainPlaces(conns)))
}

func alonePlaces(conns int) int { return min(3, max(1, conns/8)) }

func chainPlaces(conns int) int { return conns / 8 }
