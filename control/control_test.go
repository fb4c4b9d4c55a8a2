package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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
		if _, err := s.Append("journal", "c", []spool.Routed{{Record: r, To: []spool.Target{{Action: name, Rule: "r"}}}}, nil); err != nil {
			t.Fatal(err)
		}
		q := s.Queue(name)
		batch, err := q.Peek(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(batch, []spool.Outcome{{Fate: spool.Rejected, Cause: "no " + name, Text: "of " + name}}, 0, nil); err != nil {
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
func status() router.Snapshot {
	return router.Snapshot{State: router.Waiting, EntriesMatched: 7, DeadLetters: map[string]int{"a": 1}}
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
			soon := time.Now().Add(time.Hour)
			for _, test := range []struct {
				filter spool.Filter
				want   []string
			}{
				{spool.Filter{Until: soon}, []string{"of a", "of b", "of gone"}},
				{spool.Filter{Since: soon}, nil},
				{spool.Filter{Since: soon.Add(-2 * time.Hour), Cause: "O GO"}, []string{"of gone"}},
			} {
				if diff := cmp.Diff(test.want, list(t, l, test.filter)); diff != "" {
					t.Errorf("%+v (-want +got):\n%s", test.filter, diff)
				}
			}
			if got, err := l.Drop(t.Context(), spool.Filter{Until: soon, Cause: "yes"}); err != nil || got.Count != 0 {
				t.Errorf("Drop of no cause = %+v, %v", got, err)
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

// TestFilterOverTheSocket: what is asked for arrives whole, and a command of
// another release does not get more letters than it asked for.
func TestFilterOverTheSocket(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for _, want := range []spool.Filter{
		{},
		{IDs: []string{"abcd", "ef01"}, Action: "a", Rule: "r", Since: at, Until: at.Add(1), Cause: "a&b=c d"},
	} {
		got, err := parseFilter(query(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	dir := t.TempDir()
	s := buried(t, dir)
	daemon := serve(t, dir, Local{s, func(string) bool { return true }})
	for _, bad := range []string{"colour=red", "until=yesterday", "since="} {
		for method, path := range map[string]string{http.MethodGet: "/dead", http.MethodPost: "/dead/drop"} {
			req, err := http.NewRequestWithContext(t.Context(), method, "http://router"+path+"?action=a&"+bad, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := daemon.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || !strings.Contains(string(body), `"error":"choose dead letters: `) || strings.Contains(string(body), "letter\":") {
				t.Errorf("%s %s?%s: %s, %v", method, path, bad, body, err)
			}
		}
	}
	if n := len(list(t, daemon, spool.Filter{})); n != 3 {
		t.Errorf("%d letters are left, want 3", n)
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
	want := status()
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
