package emit_test

import (
	"context"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"golang.org/x/sys/unix"
)

// Twice what the kernel gives a socket for datagrams (net.core.wmem_max), and more.
var large = strings.Repeat("x", 9<<20)

// TestLargeOnTheirWay: entries that are too large for a datagram go by files, whose memory
// is neither the queue's nor the socket's: one of them is on its way at most.
func TestLargeOnTheirWay(t *testing.T) {
	path, _ := silent(t)
	e := emit.New(emit.Options{Socket: path, Bytes: 256 << 20})
	for range 6 {
		e.Send(emit.Info, large)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := e.Close(ctx); err == nil {
		t.Error("nothing is left, though nobody reads")
	}
	if s, want := e.Stats(), (emit.Stats{Sent: 6, Written: 1, Dropped: 5}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// TestLargeInOrder: they arrive, and so does what comes between them, in order, also where
// journald did not take anything for a while.
func TestLargeInOrder(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	syscall.Kill(j.PID(), syscall.SIGSTOP)
	defer syscall.Kill(j.PID(), syscall.SIGCONT)
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter", Bytes: 256 << 20})
	const entries = 30
	for i := range entries {
		text := "small"
		if i%3 == 1 {
			text = large
		}
		e.Send(emit.Info, text, emit.Int("NUMBER", int64(i)))
	}
	until(t, "the first", func() bool { return e.Stats().Written > 0 })
	syscall.Kill(j.PID(), syscall.SIGCONT)
	closeAll(t, e)
	next := 0
	stored(t, j, func(r journal.Record) {
		number, _ := r.Get("NUMBER")
		message, _ := r.Get("MESSAGE")
		if string(number) != strconv.Itoa(next) || (len(message) == len(large)) != (next%3 == 1) {
			t.Errorf("number %s of %d bytes, want number %d", number, len(message), next)
		}
		next++
	})
	if next != entries {
		t.Errorf("%d of %d are stored", next, entries)
	}
}

// TestRefusedFile: an entry whose file the receiver refuses is dropped, and keeps no
// others from going on.
func TestRefusedFile(t *testing.T) {
	path, conn := silent(t)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var refuses error
	raw.Control(func(fd uintptr) {
		const passRights = 83 // SO_PASSRIGHTS, of Linux 6.16
		refuses = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, passRights, 0)
	})
	go io.Copy(io.Discard, conn)
	e := emit.New(emit.Options{Socket: path})
	e.Send(emit.Info, large)
	e.Send(emit.Info, "small")
	closeAll(t, e)
	want := emit.Stats{Sent: 2, Written: 1, Dropped: 1}
	if refuses != nil { // an older kernel, which passes all files on
		want = emit.Stats{Sent: 2, Written: 2}
	}
	if s := e.Stats(); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}
