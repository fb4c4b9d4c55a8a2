package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
)

// buried makes a spool with dead letters of the actions a, b and gone.
func buried(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, name := range []string{"a", "b", "gone"} {
		r := journal.NewRecord("c-"+name, time.Now(), 0, journal.Field{Name: "MESSAGE", Value: []byte("of " + name)})
		if err := s.Append("journal", "c", []spool.Routed{{Record: r, To: []spool.Target{{Action: name, Rule: "r"}}}}); err != nil {
			t.Fatal(err)
		}
		q := s.Queue(name)
		batch, err := q.Peek(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(batch, []spool.Outcome{{Fate: spool.Rejected, Cause: "no", Text: "of " + name}}, 0); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// serve answers on the socket in dir until the test ends.
func serve(t *testing.T, dir string, letters Letters) *Remote {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, dir, letters, status) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(dir, Socket)); err == nil {
			t.Error("the socket is left behind")
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		r, err := Dial(t.Context(), dir)
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrNoDaemon) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// status is what the daemon of these tests says it does.
func status() (router.Snapshot, error) {
	return router.Snapshot{State: router.Waiting, EntriesMatched: 7, DeadLetters: map[string]int{"a": 1}}, nil
}

func list(t *testing.T, l Letters, f spool.Filter) []string {
	t.Helper()
	var all []string
	for letter, err := range l.List(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, letter.Text)
	}
	return all
}

// TestLocalAndRemote: with and without a daemon the same happens.
func TestLocalAndRemote(t *testing.T) {
	has := func(name string) bool { return name != "gone" }
	for name, reach := range map[string]func(t *testing.T) (Letters, *spool.Spool){
		"local": func(t *testing.T) (Letters, *spool.Spool) {
			s := buried(t, t.TempDir())
			return Local{s, has}, s
		},
		"remote": func(t *testing.T) (Letters, *spool.Spool) {
			// Longer than a socket's path may be, unix(7).
			dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
			s := buried(t, dir)
			return serve(t, dir, Local{s, has}), s
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := reach(t)
			if diff := cmp.Diff([]string{"of a", "of b", "of gone"}, list(t, l, spool.Filter{})); diff != "" {
				t.Error("all (-want +got):\n", diff)
			}
			if diff := cmp.Diff([]string{"of b"}, list(t, l, spool.Filter{Action: "b", Rule: "r"})); diff != "" {
				t.Error("of b (-want +got):\n", diff)
			}
			if _, err := l.Drop(t.Context(), spool.Filter{IDs: []string{"beef"}}); err == nil || !strings.Contains(err.Error(), "beef") {
				t.Errorf("dropping an unknown id: %v", err)
			}
			id := spool.DeliveryID("c-b", "r", "b")
			if got, err := l.Drop(t.Context(), spool.Filter{IDs: []string{id[:9]}}); err != nil || got.Count != 1 {
				t.Errorf("Drop = %+v, %v", got, err)
			}
			got, err := l.Retry(t.Context(), spool.Filter{})
			if err != nil || got.Count != 1 || got.Kept["gone"] != 1 {
				t.Errorf("Retry = %+v, %v; want 1 put back, 1 kept", got, err)
			}
			if n := s.Queue("a").Status().Queued; n != 1 {
				t.Errorf("%d queued for a, want 1", n)
			}
			if diff := cmp.Diff([]string{"of gone"}, list(t, l, spool.Filter{})); diff != "" {
				t.Error("left (-want +got):\n", diff)
			}
		})
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("without a socket: %v, want ErrNoDaemon", err)
	}
	// What a killed daemon leaves: a socket that nobody listens on. The next one
	// takes its place.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, Socket), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("with a dead socket: %v, want ErrNoDaemon", err)
	}
	serve(t, dir, Local{buried(t, dir), func(string) bool { return true }})
	info, err := os.Stat(filepath.Join(dir, Socket))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v (%v), want 0600", info.Mode(), err)
	}
}

func TestStatus(t *testing.T) {
	dir := t.TempDir()
	daemon := serve(t, dir, Local{buried(t, dir), func(string) bool { return true }})
	want, _ := status()
	got, err := daemon.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

// TestAnswerCutShort: a daemon that dies in the middle is no end of the list.
func TestAnswerCutShort(t *testing.T) {
	yielded := 0
	err := lines(strings.NewReader(`{"letter":{"id":"1"}}`+"\n"), func(reply, error) bool { yielded++; return true })
	if err == nil || !strings.Contains(err.Error(), "cut short") || yielded != 1 {
		t.Errorf("error %v after %d letters, want one letter and an error", err, yielded)
	}
}
