package failpoint

// Point names a place. "Before" and "after" are seen from the database: after means that it is committed there and
// that the process has done nothing with the answer yet.
type Point string

// What happens to a doorbell and to the claim of its job.
const (
	DoorbellTaken    Point = "doorbell.taken"    // out of the queue, nothing claimed
	DoorbellAnswered Point = "doorbell.answered" // the run is over, the queue has not been told
	ClaimBefore      Point = "claim.before"
	ClaimAfter       Point = "claim.after"
)

// Commits, by the most important thing in them.
const (
	IntentBefore   Point = "commit.intent.before" // calls that leave the process
	IntentAfter    Point = "commit.intent.after"
	ModelBefore    Point = "commit.model.before" // the attempt of a model request
	ModelAfter     Point = "commit.model.after"
	ReplyBefore    Point = "commit.reply.before" // the model's reply
	ReplyAfter     Point = "commit.reply.after"
	WaitsBefore    Point = "commit.waits.before" // new waits are registered
	WaitsAfter     Point = "commit.waits.after"
	EndBefore      Point = "commit.end.before" // the job is done
	EndAfter       Point = "commit.end.after"
	ReleaseBefore  Point = "commit.release.before" // the job is given up, and none of these
	ReleaseAfter   Point = "commit.release.after"
	ProgressBefore Point = "commit.progress.before" // anything else
	ProgressAfter  Point = "commit.progress.after"
	HandOverBefore Point = "commit.handover.before"
	HandOverAfter  Point = "commit.handover.after"
	RungCleared    Point = "rung.cleared"  // the ring is acknowledged, the mail not read
	MessageTaken   Point = "message.taken" // a message() has won against what it waited beside, and is not recorded
)

// What a process that has a worker in it gives to jobs.
const (
	SubmitBefore Point = "submit.before" // who may get the job computes ahead of it
	SubmitAfter  Point = "submit.after"  // neither who submits nor who got the job knows
	MailBefore   Point = "mail.before"
	MailAfter    Point = "mail.after" // likewise
)

// What jobs share.
const (
	VacateBefore Point = "vacate.before" // the job is let go, its seats are not
	TurnAfter    Point = "turn.after"    // drawn with a provider, who has not been asked
)

// Transactions that do something and record it: SQL tools, objects, values that are given back.
const (
	ToolBefore     Point = "tool.before"    // before the transaction
	ToolDone       Point = "tool.done"      // the tool has done its work in the open transaction; no record yet
	ToolCommitted  Point = "tool.committed" // the reply is not used yet
	GiveBackBefore Point = "giveback.before"
	GiveBackDone   Point = "giveback.done"
	GiveBackAfter  Point = "giveback.committed"
	TxRecorded     Point = "tx.recorded" // of any of these: the record is written, the COMMIT not sent
)

// What leaves the process.
const (
	HTTPBefore    Point = "http.before" // the intent is committed, the request not sent
	HTTPAfter     Point = "http.after"  // answered, the result not recorded
	RequestBefore Point = "request.before"
	RequestAfter  Point = "request.after" // the model has replied, the reply not recorded
)

// Waits.
const (
	TryBefore     Point = "try.before"     // registered, not looked at
	TryAfter      Point = "try.after"      // looked at, the mail not read
	LookServed    Point = "look.served"    // values are claimed and mailed in the open transaction
	LookTaken     Point = "look.taken"     // in the open transaction; what this worker takes will compute ahead of the COMMIT
	LookCommitted Point = "look.committed" // nobody has been notified, and what this worker took does not run
)

// What a worker does for all.
const (
	BeatBefore    Point = "beat.before"
	BeatAfter     Point = "beat.after"
	TickBefore    Point = "tick.before"
	TickAfter     Point = "tick.after"
	MarksDrained  Point = "marks.drained"  // marks of writers have become checks, which nobody has looked at
	BuryAfter     Point = "bury.after"     // workers are declared dead, their jobs not taken
	TakeOverFreed Point = "takeover.freed" // jobs are taken and rung, their seats are not
	TakeOverAfter Point = "takeover.after"
	StrayAfter    Point = "stray.after"
	PruneAfter    Point = "prune.after" // a step of the removal of old jobs is done, and there is another
)

// OfJobs are the points that are passed for one job or its waits.
func OfJobs() []Point {
	return []Point{
		DoorbellTaken, DoorbellAnswered, ClaimBefore, ClaimAfter, IntentBefore, IntentAfter, ModelBefore, ModelAfter, ReplyBefore,
		ReplyAfter, WaitsBefore, WaitsAfter, EndBefore, EndAfter, ReleaseBefore, ReleaseAfter, ProgressBefore, ProgressAfter,
		RungCleared, MessageTaken, ToolBefore, ToolDone, ToolCommitted, GiveBackBefore, GiveBackDone, GiveBackAfter, TxRecorded, HTTPBefore,
		HTTPAfter, RequestBefore, RequestAfter, TryBefore, TryAfter, LookServed, LookTaken, LookCommitted,
	}
}

// OfWorkers are the points that are passed for nobody in particular.
func OfWorkers() []Point {
	return []Point{BeatBefore, BeatAfter, TickBefore, TickAfter, BuryAfter, TakeOverFreed, TakeOverAfter, StrayAfter}
}

// Rare are the points that only some deployments pass: with a worker in the program that submits, with limits, rates, old jobs,
// or writers that tell several groups of waits at once.
func Rare() []Point {
	return []Point{SubmitBefore, SubmitAfter, MailBefore, MailAfter, VacateBefore, TurnAfter, MarksDrained, PruneAfter}
}
