package temporal

import "time"

// State is how a look at a group ended.
type State string

// How a look at a group can end.
const (
	// Idle: the condition is false, or nothing matches.
	Idle State = "idle"
	// Served: at least one waiter got its value, and nothing more is ready.
	Served State = "served"
	// Contended: something is ready, but others hold locks on it.
	Contended State = "contended"
	// Failed: the temporal's SQL raised an error.
	Failed State = "failed"
	// Empty: nobody waits.
	Empty State = "empty"
)

// Evaluation is one look at a group.
type Evaluation struct {
	// Waiters is how many were open when the look began; more than one need not be counted.
	Waiters int
	// Served is how many of them got a value.
	Served int
	// Ready says that the condition still held at the end.
	Ready bool
	// Full says that the look ended because it had served as many as it may in one transaction.
	Full bool
	// Err is the temporal's error; empty: none.
	Err string
	// Transient marks an Err that is about locks (deadlock, lock timeout): contention, not a fault.
	Transient bool
	// Last and Attempts are what the previous look left.
	Last     State
	Attempts int
	Recheck  time.Duration
	// Jitter, from 0 to 1, lengthens a retry by up to a quarter, so that groups which failed together do not
	// come back together.
	Jitter float64
}

// Decision is what follows from a look.
type Decision struct {
	State State
	// Retry is when to look again without being told to; 0: not.
	Retry time.Duration
	// Attempts counts consecutive looks that ended in this same state without serving anybody.
	Attempts int
	// Again says that the next look is due at once.
	Again bool
}

// The bounds of the back-off.
const (
	ContendedLeast = 10 * time.Millisecond
	ContendedMost  = 5 * time.Second
	FailedLeast    = time.Second
	FailedMost     = 5 * time.Minute
	// FullAgain is when others go on with a group whose last look could not serve everybody.
	FullAgain = time.Second
)

// After decides what follows from a look at a group.
func After(e Evaluation) Decision {
	d := after(e)
	d.Retry += time.Duration(float64(d.Retry/4) * e.Jitter)
	return d
}

func after(e Evaluation) Decision {
	switch {
	case e.Waiters == 0:
		return Decision{State: Empty}
	case e.Err != "" && !e.Transient:
		n := e.consecutive(Failed)
		return Decision{State: Failed, Retry: backoff(n, FailedLeast, FailedMost), Attempts: n}
	case e.Full:
		// Whoever looked goes on at once. The time is for others, should it die before it does.
		return Decision{State: Served, Again: true, Retry: FullAgain}
	case e.Ready || e.Err != "":
		// A row skipped because it was locked is not gone: its holder may roll back and tell nobody.
		n := e.consecutive(Contended)
		return Decision{State: Contended, Retry: backoff(n, ContendedLeast, ContendedMost), Attempts: n}
	case e.Served > 0:
		return Decision{State: Served, Retry: e.Recheck}
	default:
		return Decision{State: Idle, Retry: e.Recheck}
	}
}

func (e Evaluation) consecutive(state State) int {
	if e.Last != state || e.Served > 0 {
		return 1
	}
	return max(e.Attempts, 0) + 1
}

// backoff doubles from least to most.
func backoff(attempt int, least, most time.Duration) time.Duration {
	d := least
	for i := 1; i < attempt && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}
