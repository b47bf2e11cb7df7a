package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkInsertToNextLine measures how long a job that waits for rows takes from the end of INSERT … COMMIT, as
// the application sees it, to the next line of its code; settled is the part until the woken cell has its value.
// All clocks are this machine's. A p99 needs a few hundred rounds: -benchtime 300x.
func BenchmarkInsertToNextLine(b *testing.B) {
	for _, sleepers := range []int{*scale / 1000, *scale / 10, *scale} {
		b.Run(fmt.Sprintf("sleepers=%d", sleepers), func(b *testing.B) {
			w := newBenchWorld(b, waiters)
			w.worker()
			w.worker()
			template := w.submit("picker", map[string]any{"queue": "q-template"})
			w.asleep(template)
			w.crowd(template, "q-template", sleepers, false)
			var settled, printed []time.Duration
			for b.Loop() {
				job := w.submit("picker", map[string]any{"queue": "q"})
				w.asleep(job)
				w.sql("insert into app.tasks (queue, subject) values ('q', 'now')")
				committed := time.Now()
				w.ended(job, "1")
				for _, row := range w.history(job) {
					switch row.Kind {
					case "call_settled":
						settled = append(settled, row.At.Sub(committed))
					case "console":
						printed = append(printed, row.At.Sub(committed))
					}
				}
			}
			b.ReportMetric(0, "ns/op") // a round is mostly submission
			report(b, settled, "settled")
			report(b, printed, "line")
			b.Logf("%d rounds: INSERT to next line, median %s", len(printed), quantile(printed, 0.5))
		})
	}
}

func report(b *testing.B, times []time.Duration, what string) {
	b.Helper()
	for _, q := range []int{50, 99} {
		b.ReportMetric(float64(quantile(times, float64(q)/100).Microseconds())/1000, fmt.Sprintf("ms-%s-p%d", what, q))
	}
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
