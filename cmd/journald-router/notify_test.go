package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/router"
	"golang.org/x/sys/unix"
)

func TestStatusLine(t *testing.T) {
	for _, test := range []struct {
		s    router.Snapshot
		want string
	}{
		{router.Snapshot{State: router.Starting, Reason: "the journal is not open yet"}, "the journal is not open yet; 0 entries matched"},
		{router.Snapshot{State: router.Waiting, EntriesMatched: 1}, "waiting for entries, all are read; 1 entry matched"},
		{router.Snapshot{State: router.Reading, LagSeconds: 61.6, Gaps: router.Losses{Count: 1}}, "reading, 1m2s behind; 0 entries matched; entries were lost"},
		{router.Snapshot{State: router.SpoolUnwritable, Reason: "no room\non the disk", Actions: []router.ActionSnapshot{
			{Name: "a"}, {Name: "b", Queued: 3}, {Name: "c", Queued: 2, Failures: 4},
		}}, "no room on the disk; 0 entries matched; b has 3 queued; c has 2 queued and fails (4 times)"},
	} {
		if got := statusLine(&test.s); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

// TestTellStatus: systemd hears of a change, once, and within 10 s.
func TestTellStatus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify.sock")
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := unix.Bind(socket, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	synctest.Test(t, func(t *testing.T) {
		heard := func(want string) {
			t.Helper()
			synctest.Wait()
			buffer := make([]byte, 4096)
			n, _, err := unix.Recvfrom(socket, buffer, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				n = 0
			} else if err != nil {
				t.Fatal(err)
			}
			if got := string(buffer[:n]); got != want {
				t.Errorf("at %v systemd hears %q, want %q", time.Now(), got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var matched atomic.Uint64
		snapshot := func() router.Snapshot { return router.Snapshot{State: router.Waiting, EntriesMatched: matched.Load()} }
		go tellStatus(ctx, snapshot, slog.New(slog.DiscardHandler))
		time.Sleep(10 * time.Second)
		heard("STATUS=waiting for entries, all are read; 0 entries matched")
		time.Sleep(time.Minute)
		heard("")
		matched.Store(2)
		time.Sleep(10 * time.Second)
		heard("STATUS=waiting for entries, all are read; 2 entries matched")
		heard("")
		cancel()
	})
}
