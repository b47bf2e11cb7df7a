package providers

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryableStatus reports whether a request answered with the HTTP status may succeed later.
func RetryableStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	default:
		return status >= 500
	}
}

// maxRetryAfter bounds what a service can ask for; nobody means more.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads how long a service asks to wait: Retry-After in seconds or as a date, or the
// retry-after-ms that some send besides. 0 means that it does not say.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		return bounded(ms / 1000)
	}
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return bounded(seconds)
	}
	if date, err := http.ParseTime(text); err == nil {
		return bounded(date.Sub(now).Seconds())
	}
	return 0
}

func bounded(seconds float64) time.Duration {
	if math.IsNaN(seconds) || seconds <= 0 {
		return 0
	}
	return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second))
}
