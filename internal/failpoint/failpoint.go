package failpoint

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Variable is the only way to connect a worker's points: the address to announce them to.
const Variable = "STATEK_FAILPOINTS"

// Points announces the places that a process passes. Nil announces nothing.
type Points struct {
	network, address string
	logger           *slog.Logger
	orphaned         sync.Once
}

// Announcement is what the process says before it goes on.
type Announcement struct {
	PID   int   `json:"pid"`
	Point Point `json:"point"`
	// Job is who it is about; zero for what a worker does for nobody in particular.
	Job uuid.UUID `json:"job,omitzero"`
	// Group is the name and the arguments of the waits that it is about.
	Group string `json:"group,omitempty"`
}

// Connect returns the points of a process; text is the value of [Variable], and without one there are none.
func Connect(text string, logger *slog.Logger) (*Points, error) {
	if text == "" {
		return nil, nil
	}
	p := &Points{network: "tcp", address: text, logger: logger}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		p.network, p.address = "unix", path
	}
	conn, err := net.Dial(p.network, p.address)
	if err != nil {
		return nil, fmt.Errorf("failpoint: expected %s to be an address where somebody listens, such as unix:/tmp/points, got %q: %w; "+
			"it is for tests: unset it", Variable, text, err)
	}
	return p, conn.Close()
}

// Job announces a place that is passed for a job.
func (p *Points) Job(at Point, job uuid.UUID) {
	if p != nil {
		p.announce(Announcement{Point: at, Job: job})
	}
}

// Group announces a place that is passed for a group of waits.
func (p *Points) Group(at Point, name string, args []byte) {
	if p != nil {
		p.announce(Announcement{Point: at, Group: name + string(args)})
	}
}

// Worker announces a place that is passed for nobody in particular.
func (p *Points) Worker(at Point) {
	if p != nil {
		p.announce(Announcement{Point: at})
	}
}

func (p *Points) announce(a Announcement) {
	a.PID = os.Getpid()
	if err := p.ask(a); err != nil {
		p.orphaned.Do(func() {
			p.logger.Error("nobody answers at the failpoints' address: going on at every point", slog.String("err", err.Error()))
		})
	}
}

// ask waits for the answer, for as long as it takes.
func (p *Points) ask(a Announcement) error {
	conn, err := net.DialTimeout(p.network, p.address, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := json.NewEncoder(conn).Encode(a); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
