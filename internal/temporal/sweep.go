package temporal

import "time"

// Sweep is how hard the safety sweep looks. It is slow while all is well, because it has never found anything then,
// and thorough for a while after something went wrong: a mark that failed tells that there is something to find.
type Sweep struct {
	// Quiet is how long a group must not have been looked at to be looked at.
	Quiet time.Duration
	// Most is how many groups one round looks at.
	Most int
	// Alert counts the thorough rounds that are still to come.
	Alert int
}

// Round is what a round of the sweep saw.
type Round struct {
	Looked, Caught int
	// FailedMarks are the marks that failed since the round before.
	FailedMarks int64
}

// Bounds of the sweep.
const (
	QuietLeast   = time.Minute
	QuietFirst   = 10 * time.Minute
	QuietMost    = 24 * time.Hour
	sweepFew     = 10 // each is a statement and more: a hundred would be most of what an idle worker asks
	sweepMany    = 5000
	alertedFor   = 5
	quietGrowing = 2
)

// FirstSweep is how a worker begins.
func FirstSweep() Sweep { return Sweep{Quiet: QuietFirst, Most: sweepFew} }

// After decides how the next round looks. The write whose mark failed may commit long after, so one thorough round
// is not enough.
func (s Sweep) After(r Round) Sweep {
	switch {
	case r.FailedMarks > 0 || r.Caught > 0:
		return Sweep{Quiet: 0, Most: sweepMany, Alert: alertedFor}
	case s.Alert > 1:
		s.Alert--
		return s
	case s.Alert == 1:
		return Sweep{Quiet: QuietLeast, Most: sweepFew}
	case r.Looked < s.Most: // everything that was due has been looked at
		s.Quiet = min(max(s.Quiet*quietGrowing, QuietLeast), QuietMost)
		return s
	default:
		return s
	}
}
