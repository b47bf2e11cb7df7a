package scripted

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"statek/internal/providers"
)

// script is a file, understood.
type script struct {
	replies []reply
	// after are failures behind the last reply.
	after []failure
}

type reply struct {
	text  string
	delay time.Duration
	// before are the attempts that fail before the reply is given.
	before []failure
}

type failure struct {
	status     int
	retryAfter time.Duration
}

func (f failure) error(file string) error {
	return &providers.Error{
		Provider: Name, Status: f.status, Retryable: providers.RetryableStatus(f.status), RetryAfter: f.retryAfter,
		Message: fmt.Sprintf("scripted failure from %s: %s", file, http.StatusText(f.status)),
	}
}

var (
	separator = regexp.MustCompile(`^-{10,}\s*$`)
	delayNote = regexp.MustCompile(`^<!--\s*delay:\s*(\S+)\s*-->$`)
	errorNote = regexp.MustCompile(`^<!--\s*error:\s*(\d+)(?:\s+retry-after=(\S+))?\s*-->$`)
	anyNote   = regexp.MustCompile(`^<!--\s*(?:delay|error):`)
)

// parse reads a script. Its errors begin with the line.
func parse(text string) (script, error) {
	lines := strings.Split(strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n"), "\n")
	var s script
	start := 0
	for i := range len(lines) + 1 {
		if i < len(lines) && !separator.MatchString(lines[i]) {
			continue
		}
		if err := s.add(lines[start:i]); err != nil {
			return script{}, fmt.Errorf("entry on line %d: %w", start+1, err)
		}
		start = i + 1
	}
	return s, nil
}

// add takes one entry. Empty ones, as at the ends of a file, are no replies.
func (s *script) add(lines []string) error {
	text := strings.TrimSpace(strings.Join(lines, "\n"))
	if text == "" {
		return nil
	}
	first, rest, _ := strings.Cut(text, "\n")
	first = strings.TrimSpace(first)
	r := reply{text: text}
	if m := errorNote.FindStringSubmatch(first); m != nil {
		f, err := parseFailure(m[1], m[2])
		if err == nil && strings.TrimSpace(rest) != "" {
			err = fmt.Errorf("an error is an entry of its own, but text follows it")
		}
		s.after = append(s.after, f)
		return err
	}
	if m := delayNote.FindStringSubmatch(first); m != nil {
		delay, err := time.ParseDuration(m[1])
		if err != nil || delay < 0 {
			return fmt.Errorf("delay must be a duration such as 200ms, got %q", m[1])
		}
		r.delay, r.text = delay, strings.TrimSpace(rest)
	} else if anyNote.MatchString(first) {
		return fmt.Errorf(`%q must look like "<!-- delay: 200ms -->" or "<!-- error: 429 retry-after=1s -->"`, first)
	}
	r.before, s.after = s.after, nil
	s.replies = append(s.replies, r)
	return nil
}

func parseFailure(status, retryAfter string) (failure, error) {
	n, err := strconv.Atoi(status)
	if err != nil || n < 400 || n > 599 {
		return failure{}, fmt.Errorf("error must be an HTTP status from 400 to 599, got %s", status)
	}
	f := failure{status: n}
	if retryAfter != "" {
		if f.retryAfter, err = time.ParseDuration(retryAfter); err != nil || f.retryAfter < 0 {
			return failure{}, fmt.Errorf("retry-after must be a duration such as 1s, got %q", retryAfter)
		}
	}
	return f, nil
}
