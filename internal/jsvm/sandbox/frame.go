package sandbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fxamacker/cbor/v2"

	"statek/internal/jsvm"
	"statek/internal/jsvm/lockdown"
)

// A frame is four bytes of length, big-endian, and that much CBOR: bytes travel as bytes.

// request is what the parent asks of a child. Open, Run and Deliver are done in this order, and answered
// once.
type request struct {
	_       struct{} `cbor:",toarray"`
	Number  uint64
	Session uint32
	Forget  []uint32 // sessions that are over
	Start   *start   // of the child's first frame alone
	Analyze *analyze
	Open    *opening
	Run     *jsvm.Cell
	Deliver []jsvm.Delivery
}

// opening is a jsvm.Setup.
type opening struct {
	_         struct{} `cbor:",toarray"`
	Prefix    string
	Engine    int
	World     []byte // encoded, so that a child decodes it once for all sessions that have the same
	Variables []jsvm.Variable
}

// world is what the sessions of a prefix tend to have in common.
type world struct {
	Grants []jsvm.Grant
	Limits jsvm.Limits
}

// start configures a child.
type start struct {
	AddressSpace uint64
	Skip         []lockdown.Layer
}

type analyze struct {
	Source string
	Limits jsvm.Limits
}

// reply is a child's answer. Changes come with every step that ends a cell, so that nobody has to ask.
type reply struct {
	_        struct{} `cbor:",toarray"`
	Number   uint64
	Session  uint32
	Report   *lockdown.Report
	Step     *jsvm.Step
	Changes  *jsvm.Changes
	Analysis *jsvm.Analysis
	Failure  *failure
	Heap     int64 // bytes in use after the last collection

	// The parent notes what it saw.
	opened bool          // the VM was made for this request
	used   time.Duration // CPU time
}

// failure is an error on its way through a frame.
type failure struct {
	Kind     string
	Message  string
	Syntax   *jsvm.SyntaxError
	Diverged *jsvm.DivergedError
}

// sentinels are the errors that callers of a Machine branch on.
var sentinels = map[string]error{"engine": jsvm.ErrEngine, "session": jsvm.ErrSession, "zone": jsvm.ErrTimeZone}

func wrapFailure(err error) *failure {
	f := &failure{Message: err.Error()}
	if errors.As(err, &f.Syntax) || errors.As(err, &f.Diverged) {
		return f
	}
	for kind, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			f.Kind = kind
		}
	}
	return f
}

// err is the failure as it was before its travel.
func (f *failure) err() error {
	switch {
	case f.Syntax != nil:
		return f.Syntax
	case f.Diverged != nil:
		return f.Diverged
	}
	if sentinel, ok := sentinels[f.Kind]; ok {
		return &remote{message: f.Message, is: sentinel}
	}
	return &remote{message: f.Message}
}

// remote is an error that happened in a child.
type remote struct {
	message string
	is      error
}

func (e *remote) Error() string { return e.message }
func (e *remote) Unwrap() error { return e.is }

//nolint:gochecknoglobals // compiled constants
var (
	encoding = must(cbor.EncOptions{}.UserBufferEncMode())
	// decoding allows what frames hold and no more: no tags, no open lengths, little nesting.
	decoding = must(cbor.DecOptions{
		MaxNestedLevels: 8, MaxArrayElements: 1 << 17, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("sandbox: options of CBOR: %v", err)) // constants, checked by every test
	}
	return v
}

func writeFrame(w io.Writer, v any) error {
	var b bytes.Buffer
	b.Write(make([]byte, 4))
	if err := encoding.MarshalToBuffer(v, &b); err != nil {
		return fmt.Errorf("sandbox: encode frame: %w", err)
	}
	binary.BigEndian.PutUint32(b.Bytes(), uint32(b.Len()-4))
	_, err := w.Write(b.Bytes())
	return err
}

var errFrame = errors.New("sandbox: malformed frame")

// readFrame reads one frame of at most limit bytes into v. Memory is taken as bytes arrive, never by what the
// length claims.
func readFrame(r io.Reader, limit int64, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if size > limit {
		return fmt.Errorf("%w: %d bytes; the limit is %d", errFrame, size, limit)
	}
	body, err := readBody(r, int(size))
	if err != nil {
		return err
	}
	if err := decoding.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}

func readBody(r io.Reader, size int) ([]byte, error) {
	const first = 64 << 10
	body := make([]byte, min(size, first))
	for read := 0; ; {
		n, err := io.ReadFull(r, body[read:])
		switch read += n; {
		case errors.Is(err, io.EOF) && read > 0:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case read == size:
			return body, nil
		}
		body = append(body, make([]byte, min(read, size-read))...)
	}
}
