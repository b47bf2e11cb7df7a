package failpoint_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"statek/internal/failpoint"
)

// TestANilPointAnnouncesNothing: what every worker has that was not told otherwise.
func TestANilPointAnnouncesNothing(t *testing.T) {
	t.Parallel()
	points, err := failpoint.Connect("", nil)
	if points != nil || err != nil {
		t.Fatalf("got %v and %v without an address", points, err)
	}
	points.Worker(failpoint.BeatAfter)
	points.Job(failpoint.ToolDone, uuid.New())
	points.Group(failpoint.LookServed, "event", []byte("{}"))
}

// TestAPointWaitsForItsAnswer: the process says where it is, and goes on when it is told to and not before.
func TestAPointWaitsForItsAnswer(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	heard, answer := make(chan failpoint.Announcement), make(chan struct{})
	go func() {
		defer close(heard)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			line, err := bufio.NewReader(conn).ReadBytes('\n')
			if err == nil { // the first connection only asks whether somebody listens
				var a failpoint.Announcement
				if err := json.Unmarshal(line, &a); err != nil {
					t.Error(err)
				}
				heard <- a
				<-answer
				_, _ = conn.Write([]byte("\n"))
			}
			_ = conn.Close()
		}
	}()
	var logged bytes.Buffer
	points, err := failpoint.Connect("unix:"+address, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	job := uuid.New()
	for _, c := range []struct {
		pass func()
		want failpoint.Announcement
	}{
		{func() { points.Job(failpoint.ToolDone, job) }, failpoint.Announcement{PID: os.Getpid(), Point: failpoint.ToolDone, Job: job}},
		{func() { points.Group(failpoint.LookServed, "go", []byte("{}")) }, failpoint.Announcement{PID: os.Getpid(), Point: failpoint.LookServed, Group: "go{}"}},
		{func() { points.Worker(failpoint.BeatAfter) }, failpoint.Announcement{PID: os.Getpid(), Point: failpoint.BeatAfter}},
	} {
		passed := make(chan struct{})
		go func() {
			defer close(passed)
			c.pass()
		}()
		if diff := cmp.Diff(c.want, <-heard); diff != "" {
			t.Errorf("announced (-want +got):\n%s", diff)
		}
		select {
		case <-passed:
			t.Errorf("%s was passed without an answer", c.want.Point)
		default:
		}
		answer <- struct{}{}
		<-passed
	}
	_ = listener.Close()
	<-heard
	for range 3 {
		points.Worker(failpoint.BeatAfter) // goes on
	}
	if n := strings.Count(logged.String(), "nobody answers"); n != 1 {
		t.Errorf("the silence was logged %d times, want once: %s", n, logged.String())
	}
}

// TestANameWithoutListenerIsRefused: a worker that was armed by mistake does not start.
func TestANameWithoutListenerIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"unix:" + filepath.Join(t.TempDir(), "nobody"), "tool.done:1=kill"} {
		if _, err := failpoint.Connect(text, nil); err == nil || !strings.Contains(err.Error(), "STATEK_FAILPOINTS") || !strings.Contains(err.Error(), "unset it") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

// TestPointsHaveOneName: no name stands for two places.
func TestPointsHaveOneName(t *testing.T) {
	t.Parallel()
	seen := map[failpoint.Point]bool{}
	for _, p := range slices.Concat(failpoint.OfJobs(), failpoint.OfWorkers(), failpoint.Rare()) {
		if seen[p] {
			t.Errorf("%s is listed twice", p)
		}
		seen[p] = true
	}
}
