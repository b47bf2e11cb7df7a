package e2e

import (
	"flag"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// scale is how many jobs sleep in these benchmarks; a tenth of it is woken at once.
var scale = flag.Int("waiters", 100_000, "sleeping jobs of the benchmarks of waits")

const megabyte = 1 << 20

// BenchmarkSleepers measures what many sleeping jobs cost one worker and the server while nothing happens, and how
// fast, and in how much memory, the worker brings a tenth as many to their end at once: each woken by a row of its
// own, all by one event, and one of many by one row.
func BenchmarkSleepers(b *testing.B) {
	w := newBenchWorld(b, waiters)
	s := &sleepers{
		world: w, worker: w.worker(), server: w.postmaster(),
		picker: w.submit("picker", map[string]any{"queue": "q-template"}), listener: w.submit("listener", nil),
	}
	w.asleep(s.picker, s.listener)
	w.crowd(s.picker, "q-template", min(1000, *scale/10), false) // a first load costs memory, whoever sleeps
	s.wake(b, ownRows)
	rss, stored := family(b, s.worker.cmd.Process.Pid).rss, w.stored()
	b.Run("idle/sleepers=0", func(b *testing.B) { s.idle(b, rss) })
	w.crowd(s.picker, "q-template", *scale, false)
	bytes := w.stored() - stored
	b.Run(fmt.Sprintf("idle/sleepers=%d", *scale), func(b *testing.B) {
		s.idle(b, rss)
		b.ReportMetric(float64(bytes)/float64(*scale), "B/job")
	})
	for _, c := range []struct {
		name, cause string
		template    uuid.UUID
		word        string
		shared      bool
	}{
		{"wake/distinct", ownRows, s.picker, "q-template", false},
		{"wake/event", "select statek.emit('/', 'go')", s.listener, "no such word", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var rates, costs, grown []float64
			for range b.N {
				b.StopTimer()
				s.settled()
				w.crowd(c.template, c.word, *scale/10, c.shared)
				b.StartTimer()
				before := s.spent(b)
				took, peak := s.wake(b, c.cause)
				costs = append(costs, (s.spent(b)-before).Seconds()*1000/float64(*scale/10))
				rates = append(rates, float64(*scale/10)/took.Seconds())
				grown = append(grown, float64(peak-rss)/megabyte)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(rates), "jobs/s")
			b.ReportMetric(median(costs), "ms-cpu/job")
			b.ReportMetric(slices.Max(grown), "MB-grown-peak")
		})
	}
}

// ownRows writes one task for each of the crowd.
const ownRows = "insert into app.tasks (queue, subject) select word, 'now' from bench.crowd"

type sleepers struct {
	*world
	worker           *worker
	server           int
	picker, listener uuid.UUID
}

// idle watches the worker and the server while nothing happens, when all groups have been quiet for so long that the safety sweep looks
// at them. The API, which asks little more, is held still. A minute, which is three rounds, has all chores.
func (s *sleepers) idle(b *testing.B, before int64) {
	b.Helper()
	const span = 20
	s.settled()
	s.sql("update statek.wait_groups set last_at = now() - interval '1 hour'")
	s.sql("vacuum analyze statek.wait_groups")
	s.api.signal(syscall.SIGSTOP)
	defer s.api.signal(syscall.SIGCONT)
	var asked, own, theirs []float64
	for range b.N {
		worker, server, began := family(b, s.worker.cmd.Process.Pid).cpu, family(b, s.server).cpu, time.Now()
		s.sql("select pg_stat_statements_reset()")
		s.sql("select pg_sleep($1)", span)
		const ours = 2
		took := time.Since(began).Seconds()
		asked = append(asked, float64(s.statements()-ours)/took)
		own = append(own, 100*(family(b, s.worker.cmd.Process.Pid).cpu-worker).Seconds()/took)
		theirs = append(theirs, 100*(family(b, s.server).cpu-server).Seconds()/took)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(mean(asked), "stmts/s")
	b.ReportMetric(slices.Max(asked), "stmts/s-most")
	b.ReportMetric(median(own), "%core-worker")
	b.ReportMetric(median(theirs), "%core-postgres")
	b.ReportMetric(float64(family(b, s.worker.cmd.Process.Pid).rss-before)/megabyte, "MB-grown")
	b.Logf("statements of the last %d s:\n%s", span, s.loudest())
}

// wake brings the crowd to its end by one statement, and returns how long that took and the worker's most memory.
func (s *sleepers) wake(b *testing.B, cause string) (took time.Duration, peak int64) {
	b.Helper()
	s.sql("select pg_stat_statements_reset()")
	began := time.Now()
	s.sql(cause)
	// Each look begins where the last one stopped, at the first that had not ended: a query that goes through all of them
	// would be most of the load, and so would asking the system for the worker's memory all the time.
	for at := 0; at >= 0; {
		peak = max(peak, family(b, s.worker.cmd.Process.Pid).rss)
		at = query[int](s.world, `select coalesce((
			select c.n from bench.crowd c
			where c.n >= $1 and (select s.status from statek.job_state s where s.job_id = c.id) not in ('DONE', 'PAUSED') order by c.n limit 1), -1)
			from pg_sleep(0.1)`, at)
	}
	took = time.Since(began)
	b.Logf("%s\n%s", cause, s.loudest())
	for i := range 3 {
		s.ended(query[uuid.UUID](s.world, "select id from bench.crowd order by n offset $1::integer * 10 limit 1", i), "1")
	}
	if n := query[int](s.world, "select count(*) from bench.crowd c join statek.job_state j on j.job_id = c.id where j.result::text is distinct from '1'"); n > 0 {
		b.Fatalf("%d of the crowd did not end with 1", n)
	}
	return took, peak
}

// spent is the processor time of the worker, its children and the server so far; it carries to other machines.
func (s *sleepers) spent(b *testing.B) time.Duration {
	b.Helper()
	return family(b, s.worker.cmd.Process.Pid).cpu + family(b, s.server).cpu
}

// settled waits until nothing is owed to anybody.
func (s *sleepers) settled() {
	s.watch(func() {}, "not exists (select from statek.dirty) and not exists (select from statek.wait_checks)")
}

func mean(list []float64) (m float64) {
	for _, x := range list {
		m += x / float64(len(list))
	}
	return m
}

func median(list []float64) float64 {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}
