package jsvm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// runningHash chains everything that a cell has shown and been given. Two runs with the same value have
// printed the same lines, made the same calls and seen the same results at the same clock.
type runningHash struct{ sum [sha256.Size]byte }

func (h *runningHash) add(parts ...string) {
	sum := sha256.New()
	sum.Write(h.sum[:])
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		sum.Write(size[:])
		sum.Write([]byte(p))
	}
	sum.Sum(h.sum[:0])
}

func (h *runningHash) call(c Call) { h.add("call", strconv.Itoa(c.ID), c.Name, string(c.Args)) }

func (h *runningHash) set(s Set) {
	parts := []string{"set", s.Mode, strconv.Itoa(s.Won)}
	for _, call := range s.Calls {
		parts = append(parts, strconv.Itoa(call))
	}
	h.add(parts...)
}

func (h *runningHash) delivery(d Delivery, now int64) {
	parts := []string{"delivery", strconv.Itoa(d.Call), strconv.FormatInt(now, 10)}
	if d.Err != nil {
		parts = append(parts, "error", d.Err.Name, d.Err.Message, d.Err.Code)
		if len(d.Err.Data) > 0 {
			parts = append(parts, string(d.Err.Data))
		}
	} else {
		parts = append(parts, "value", string(d.Value))
	}
	h.add(parts...)
}

// String is the first half of the hash, in hexadecimal.
func (h *runningHash) String() string { return hex.EncodeToString(h.sum[:16]) }
