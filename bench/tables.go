package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// printTables writes what docs/benchmarks.md shows.
func printTables(out io.Writer, p plan, entries []*entry) {
	fmt.Fprintf(out, "%d processors, %d rounds of %d jobs, %d in flight; medians of the rounds.\n\n", runtime.NumCPU(), p.rounds, p.n, inFlight)
	fmt.Fprintln(out, "| two steps | finished/s (least–most) | p50 | p99 | write transactions | statements | WAL | client CPU | Postgres CPU |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, e := range entries {
		per := e.each(func(s sample) float64 { return s.perSecond })
		fmt.Fprintf(out, "| %s | **%.0f** (%.0f–%.0f) | %s | %s | %.2f | %.1f | %.1f kB | %.2f ms | %.2f ms |\n", e.title,
			middle(per), slices.Min(per), slices.Max(per),
			e.latency(50), e.latency(99),
			middle(e.each(func(s sample) float64 { return s.writes })), middle(e.each(func(s sample) float64 { return s.statements })),
			middle(e.each(func(s sample) float64 { return s.wal / 1000 })),
			middle(e.each(func(s sample) float64 { return s.client.Seconds() * 1000 })), middle(e.each(func(s sample) float64 { return s.postgres.Seconds() * 1000 })))
	}
	fmt.Fprintln(out, "\n| one at a time | p50 | p90 | p99 |\n|---|---|---|---|")
	for _, e := range entries {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", e.title, percentile(e.low, 50), percentile(e.low, 90), percentile(e.low, 99))
	}
	fmt.Fprintln(out, "\n| event until the end, one step later | p50 | p99 |\n|---|---|---|")
	for _, e := range entries {
		if len(e.wake) > 0 {
			fmt.Fprintf(out, "| %s | %s | %s |\n", e.title, percentile(e.wake, 50), percentile(e.wake, 99))
		}
	}
	fmt.Fprintln(out)
}

func (e *entry) each(get func(sample) float64) []float64 {
	list := make([]float64, len(e.loads))
	for i, s := range e.loads {
		list[i] = get(s)
	}
	return list
}

// latency is the median of the rounds' percentiles.
func (e *entry) latency(percent int) string {
	rounds := make([]time.Duration, len(e.loads))
	for i, s := range e.loads {
		rounds[i] = at(s.latencies, percent)
	}
	return show(middle(rounds))
}

func percentile(list []time.Duration, percent int) string { return show(at(list, percent)) }

// at is the smallest value that percent of the list do not exceed.
func at(list []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func middle[T ~int64 | ~float64](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// show rounds to two or three digits: more would not come out again.
func show(d time.Duration) string {
	ms := d.Seconds() * 1000
	text := strconv.FormatFloat(ms, 'f', 1, 64)
	if ms >= 10 {
		text = strings.TrimSuffix(strconv.FormatFloat(ms, 'f', 0, 64), ".0")
	}
	return text + " ms"
}
