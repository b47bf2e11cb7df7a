package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// Link lets whoever holds it answer one question, once, without any other right.
type Link struct {
	Token     string    `json:"token"`
	Path      string    `json:"path" doc:"Below the address of the API: GET shows the question, POST answers it." example:"/v1/approvals/by-link/AZM-gG…"`
	ExpiresAt time.Time `json:"expires_at"`
}

const (
	// MinLinkKey is how many bytes a link key must have.
	MinLinkKey = 32
	longestTTL = 30 * 24 * time.Hour
	linkTTL    = 7 * 24 * time.Hour
	// signed is what the signature covers: the approval's id and when the link ends.
	signed = 16 + 8
)

// ApprovalLink makes a link to a pending question. It ends after ttl (7 days when zero, at most 30), and with
// the question.
func (a *App) ApprovalLink(ctx context.Context, id uuid.UUID, ttl time.Duration) (Link, error) {
	if len(a.cfg.LinkKey) == 0 {
		return Link{}, &Error{Kind: KindConflict, Message: "links are off: the API has no link key (--link-key or STATEK_LINK_KEY)"}
	}
	if ttl == 0 {
		ttl = linkTTL
	}
	if ttl < time.Second || ttl > longestTTL {
		return Link{}, invalid("ttl", ttl.String(), "must be between 1s and 720h")
	}
	q, err := a.Approval(ctx, id)
	if err != nil {
		return Link{}, err
	}
	if err := stillOpen(q, a.now()); err != nil {
		return Link{}, err
	}
	end := a.now().Add(ttl).Truncate(time.Second)
	if q.ExpiresAt != nil && q.ExpiresAt.Before(end) {
		end = q.ExpiresAt.UTC().Truncate(time.Second)
	}
	token := a.sign(id, end)
	return Link{Token: token, Path: "/v1/approvals/by-link/" + token, ExpiresAt: end}, nil
}

// ApprovalByLink shows the question behind a link, as long as it can be answered.
func (a *App) ApprovalByLink(ctx context.Context, token string) (Approval, error) {
	id, end, ok := a.verify(token)
	if !ok {
		return Approval{}, &Error{Kind: KindNotFound, Message: "this link is not valid"}
	}
	if !a.now().Before(end) {
		return Approval{}, &Error{Kind: KindGone, Message: "this link expired at " + end.Format(time.RFC3339)}
	}
	q, err := a.Approval(ctx, id)
	if err != nil {
		return Approval{}, err
	}
	return q, stillOpen(q, a.now())
}

// DecideByLink answers the question behind a link. The answer is recorded as the assignee's, by link.
func (a *App) DecideByLink(ctx context.Context, token string, d Decision) (Approval, error) {
	q, err := a.ApprovalByLink(ctx, token)
	if err != nil {
		return Approval{}, err
	}
	by := "link"
	if q.Assignee != "" {
		by = string([]rune(q.Assignee)[:min(190, len([]rune(q.Assignee)))]) + " (link)"
	}
	return a.Decide(ctx, q.ID, d, by)
}

// stillOpen refuses questions that were answered or are over: a link to one has been used.
func stillOpen(q Approval, now time.Time) error {
	switch {
	case q.Status == "decided":
		return &Error{Kind: KindGone, Message: "the question was answered by " + q.DecidedBy}
	case q.Status == "pending" && (q.ExpiresAt == nil || now.Before(*q.ExpiresAt)):
		return nil
	case q.Status == "withdrawn":
		return &Error{Kind: KindGone, Message: "the job does not wait for an answer any more"}
	default:
		return &Error{Kind: KindGone, Message: "the question has expired"}
	}
}

func (a *App) sign(id uuid.UUID, end time.Time) string {
	raw := binary.BigEndian.AppendUint64(id[:], uint64(end.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(raw, a.mac(raw)...))
}

func (a *App) verify(token string) (id uuid.UUID, end time.Time, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != signed+sha256.Size || len(a.cfg.LinkKey) == 0 || !hmac.Equal(a.mac(raw[:signed]), raw[signed:]) {
		return id, end, false
	}
	copy(id[:], raw)
	return id, time.Unix(int64(binary.BigEndian.Uint64(raw[16:signed])), 0).UTC(), true
}

func (a *App) mac(text []byte) []byte {
	h := hmac.New(sha256.New, a.cfg.LinkKey)
	h.Write([]byte("statek approval link 1\n"))
	h.Write(text)
	return h.Sum(nil)
}
