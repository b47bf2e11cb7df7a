package providertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"statek/internal/providers/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func post(t *testing.T, s *providertest.Server, path, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.TrimSuffix(s.URL(), "/v1")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

const completions = "/v1/chat/completions"

const body = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

func TestQueuedAnswersComeBeforeTheHandlers(t *testing.T) {
	t.Parallel()
	s := providertest.NewServer(t)
	s.Queue(providertest.Answer{Text: "first"})
	s.Handle(func(r providertest.Recorded) providertest.Answer {
		return providertest.Answer{Text: "to " + r.Messages[0].Content}
	})
	for _, want := range []string{`"content":"first"`, `"content":"to hi"`} {
		if status, text, err := post(t, s, completions, body); status != 200 || err != nil || !strings.Contains(text, want) {
			t.Errorf("got %d, %s, %v; want %s", status, text, err, want)
		}
	}
	if first := <-s.Arrived(); first.Model != "m" || len(s.Requests()) != 2 {
		t.Errorf("got %+v, %d requests", first, len(s.Requests()))
	}
}

func TestUnexpectedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := providertest.NewServer(t)
	for _, c := range []struct{ path, body, want string }{
		{completions, body, "queued no answer"}, {completions, "{", "request body"}, {completions, "{}", "required"},
		{"/v1/models", body, "is not served"},
	} {
		if status, text, err := post(t, s, c.path, c.body); status != 400 || err != nil || !strings.Contains(text, c.want) {
			t.Errorf("%s %s: got %d, %s, %v", c.path, c.body, status, text, err)
		}
	}
}

func TestClosingEndsHangingRequests(t *testing.T) {
	t.Parallel()
	s := providertest.NewServer(t)
	s.Queue(providertest.Answer{Hang: true})
	done := make(chan error, 1)
	go func() {
		_, _, err := post(t, s, completions, body)
		done <- err
	}()
	<-s.Arrived()
	s.Close()
	if err := <-done; errors.Is(err, context.Canceled) {
		t.Errorf("the request ended by its own: %v", err)
	}
}
