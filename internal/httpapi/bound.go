package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
)

// gate bounds the requests that are answered at once. Those that wait (long polls and streams) hold little and are counted
// by themselves, so that neither keeps the other out.
type gate struct {
	most            int64
	working, waited atomic.Int64
}

// waitingFactor is how many requests may wait for each that may work.
const waitingFactor = 8

// bound refuses what is too much with 503. Health is always told: who asks for it decides whether more should come here.
func (g *gate) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics" {
			next.ServeHTTP(w, r)
			return
		}
		counter, most := &g.working, g.most
		if waits(r) {
			counter, most = &g.waited, g.most*waitingFactor
		}
		defer counter.Add(-1)
		if n := counter.Add(1); n > most {
			w.Header().Set("Retry-After", "1")
			writeProblem(w, newProblem(http.StatusServiceUnavailable,
				fmt.Sprintf("this process answers %d requests at once and cannot take more; try again, at another replica if there is one", most)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// waits reports long polls and streams.
func waits(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Query().Has("wait") || strings.Contains(r.Header.Get("Accept"), "text/event-stream"))
}
