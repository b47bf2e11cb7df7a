package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"statek/internal/store"
	"statek/internal/temporal"
)

// Retention is how long ended jobs at a prefix are kept, by outcome.
type Retention struct {
	Prefix    string `json:"prefix"`
	Succeeded Kept   `json:"succeeded"`
	Failed    Kept   `json:"failed"`
	Cancelled Kept   `json:"cancelled"`
}

// Kept is how long jobs with one outcome are kept.
type Kept struct {
	Keep string `json:"keep" doc:"A duration after the end, or forever." example:"30d"`
	From string `json:"from,omitempty" doc:"The prefix that says so; absent: none does, it is the default." example:"/acme"`
}

// RetentionWish changes it; empty fields stay as they are.
type RetentionWish struct {
	Succeeded string `json:"succeeded,omitempty" doc:"A duration such as 7d or 12h; forever; or inherit: what the prefix above says." example:"7d"`
	Failed    string `json:"failed,omitempty" doc:"Likewise." example:"forever"`
	Cancelled string `json:"cancelled,omitempty" doc:"Likewise." example:"inherit"`
}

const (
	keepForever = "forever"
	keepInherit = "inherit"
)

// Retention says how long ended jobs at a prefix are kept.
func (a *App) Retention(ctx context.Context, prefix string) (Retention, error) {
	if err := checkPrefix("prefix", prefix); err != nil {
		return Retention{}, err
	}
	list, err := a.store.Retention(ctx, prefix)
	if err != nil {
		return Retention{}, fail(err, "retention")
	}
	r := Retention{Prefix: prefix}
	for _, k := range list {
		kept := Kept{Keep: keepForever}
		if k.Seconds != nil {
			kept.Keep = spell(time.Duration(*k.Seconds * float64(time.Second)))
		}
		if k.From != nil {
			kept.From = *k.From
		}
		switch k.Outcome {
		case "succeeded":
			r.Succeeded = kept
		case "failed":
			r.Failed = kept
		default:
			r.Cancelled = kept
		}
	}
	return r, nil
}

// SetRetention changes how long ended jobs at a prefix, and below it until a prefix says otherwise, are kept. It holds for
// jobs that have ended already, too.
func (a *App) SetRetention(ctx context.Context, prefix string, wish RetentionWish) (Retention, error) {
	if err := checkPrefix("prefix", prefix); err != nil {
		return Retention{}, err
	}
	if wish == (RetentionWish{}) {
		return Retention{}, invalid("succeeded", nil, "or failed or cancelled must be given: a duration such as 30d, forever, or inherit")
	}
	for _, field := range []struct {
		name string
		text *string
	}{{"succeeded", &wish.Succeeded}, {"failed", &wish.Failed}, {"cancelled", &wish.Cancelled}} {
		span, err := keepText(*field.text)
		if err != nil {
			return Retention{}, invalid(field.name, *field.text, err.Error())
		}
		*field.text = span
	}
	if err := a.store.SetRetention(ctx, prefix, wish.Succeeded, wish.Failed, wish.Cancelled); err != nil {
		return Retention{}, fail(err, "retention")
	}
	return a.Retention(ctx, prefix)
}

// keepText turns a wish into what SQL reads.
func keepText(wish string) (string, error) {
	if wish == "" || wish == keepForever || wish == keepInherit {
		return wish, nil
	}
	d, err := temporal.Duration([]byte(strconv.Quote(wish)))
	if err != nil || d < time.Second {
		return "", fmt.Errorf("must be a duration from 1s to ten years, such as 30d or 12h, or %s, or %s", keepForever, keepInherit)
	}
	return fmt.Sprintf("%d milliseconds", d.Milliseconds()), nil
}

// spell writes a duration as it is read: in days where it is whole days.
func spell(d time.Duration) string {
	const day = 24 * time.Hour
	days, rest := d/day, d%day
	text := rest.String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	switch {
	case days == 0:
		return text
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	default:
		return fmt.Sprintf("%dd%s", days, text)
	}
}

// lateRemoval is how long after its time a job may still be there before somebody should know.
const lateRemoval = 24 * time.Hour

// retention says what the removal of old jobs has before it, and complains when it does not get there.
func (d *doctor) retention(ctx context.Context) error {
	b, err := d.store.Backlog(ctx)
	if err != nil {
		return err
	}
	d.out.Retention = Removal{Due: b.Due, AtLeast: b.Looked == store.BacklogLook, Leftover: b.Leftover, Removed: b.Removed, LappedAt: b.LappedAt, DueSince: b.Since}
	if b.Since == nil {
		return nil
	}
	if late := d.now().Sub(*b.Since); late > lateRemoval {
		d.complain(Complaint{
			Check: "retention", What: fmt.Sprintf("%d jobs should have been removed, the oldest %s ago", b.Due, spell(late.Truncate(time.Hour))),
			Why:    "tables grow",
			Remedy: "workers remove them in the background, a few hundred a second at most: wait; if the number does not fall, see the workers' log for \"removing old jobs\"",
		})
	}
	return nil
}

// Removal is how far the removal of old jobs has got.
type Removal struct {
	Due      int64      `json:"due" doc:"Jobs that retention would remove now."`
	AtLeast  bool       `json:"at_least,omitempty" doc:"There may be more: not all old jobs were looked at."`
	DueSince *time.Time `json:"due_since,omitempty" doc:"Since when the first of them should be gone."`
	Leftover int64      `json:"leftover" doc:"Jobs that are gone, but for some of their history."`
	Removed  int64      `json:"removed" doc:"Jobs removed since the database was made."`
	LappedAt *time.Time `json:"lapped_at,omitempty" doc:"When all old jobs had last been looked at."`
}
