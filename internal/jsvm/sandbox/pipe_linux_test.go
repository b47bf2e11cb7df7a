package sandbox

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// TestPipes: what a child reads and writes past Go's scheduler is what was written and is read.
func TestPipes(t *testing.T) {
	t.Parallel()
	requestOut, requestIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	replyOut, replyIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, out := pipes(requestOut, replyIn)
	if in.(*pipe).poll < 0 {
		t.Error("there is no epoll")
	}
	large := bytes.Repeat([]byte("frame of many pages, "), 1<<17) // more than a pipe holds
	for _, c := range []struct {
		name  string
		after time.Duration
		text  []byte
	}{{"at once", 0, []byte("a")}, {"soon", soon / 4, []byte("b")}, {"late", 2 * soon, []byte("c")}, {"large", 0, large}} {
		time.AfterFunc(c.after, func() { _, _ = requestIn.Write(c.text) })
		got := make([]byte, len(c.text))
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, c.text) {
			t.Errorf("%s: read %d bytes, %v", c.name, len(got), err)
		}
	}
	// No more than the pipe holds: who reads is in this process, and must not wait for a processor that waits for it.
	if n, err := out.Write(large[:4096]); n != 4096 || err != nil {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	got := make([]byte, 4096)
	if _, err := io.ReadFull(replyOut, got); err != nil || !bytes.Equal(got, large[:4096]) {
		t.Errorf("what was written is not what came, %v", err)
	}
	_ = requestIn.Close()
	if n, err := in.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
	_ = replyOut.Close()
	if _, err := out.Write([]byte("x")); err == nil {
		t.Error("nobody reads, and writing is no error")
	}
}
