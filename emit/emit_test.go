package emit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	storage "github.com/journald-router/journald-router/journal/journaltest/stored"
)

func socketOf(j *journaltest.T) string {
	return "/run/systemd/journal." + j.Namespace() + "/socket"
}

// stored calls each with every entry of the namespace that the program "emitter" logged.
func stored(t *testing.T, j *journaltest.T, each func(journal.Record)) {
	t.Helper()
	for _, record := range storage.In(t, j.Journald) {
		if v, _ := record.Get("SYSLOG_IDENTIFIER"); string(v) == "emitter" {
			each(record)
		}
	}
}

func closeAll(t *testing.T, e *emit.Emitter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// until polls: it is for what another process does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestFields(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter", Fields: []emit.Field{emit.String("SHOP", "one\ntwo")}})
	large := strings.Repeat("0123456789abcdef", 10<<20/16)
	e.Send(emit.Warning, "line one\nline two", emit.String("plain", "a=b"), emit.String("order-id", "7"), emit.String("_UID", "0"),
		emit.String("9lives", "x"), emit.String("é", "nothing"), emit.String("", "nothing"), emit.String("_", "nothing"),
		emit.String(strings.Repeat("N", 70), "long"), emit.Int("N", -42), emit.Duration("TOOK", 1250*time.Millisecond),
		emit.Bytes("RAW", []byte("\x00\n\xff=")), emit.Bytes("RAW", nil), emit.String("EMPTY", ""), emit.String("PLAIN", "again"))
	e.Send(-1, "")
	e.Send(99, large)
	closeAll(t, e)
	want := []map[string][]string{
		{
			"MESSAGE": {"line one\nline two"}, "PRIORITY": {"4"}, "PLAIN": {"a=b", "again"}, "ORDER_ID": {"7"}, "UID": {"0"}, "LIVES": {"x"},
			strings.Repeat("N", 64): {"long"}, "N": {"-42"}, "TOOK": {"1.25"}, "RAW": {"\x00\n\xff=", ""}, "EMPTY": {""}, "SHOP": {"one\ntwo"},
		},
		{"MESSAGE": {""}, "PRIORITY": {"0"}, "SHOP": {"one\ntwo"}},
		{"MESSAGE": {large}, "PRIORITY": {"7"}, "SHOP": {"one\ntwo"}},
	}
	var got []map[string][]string
	stored(t, j, func(r journal.Record) {
		fields := make(map[string][]string)
		for name, value := range r.Fields() {
			if !strings.HasPrefix(string(name), "_") && string(name) != "SYSLOG_IDENTIFIER" {
				fields[string(name)] = append(fields[string(name)], string(value))
			}
		}
		got = append(got, fields)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored (-want +got):\n%.2000s", diff)
	}
	if s, want := e.Stats(), (emit.Stats{Sent: 3, Written: 3, Invalid: 3}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// TestCounts: under more than journald takes, and while it stands still, everything that
// was sent is stored or counted as dropped, and told of.
func TestCounts(t *testing.T) {
	for _, dropOldest := range []bool{false, true} {
		t.Run(fmt.Sprint("drop oldest ", dropOldest), func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{})
			e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter", Entries: 256, DropOldest: dropOldest})
			const senders, each = 16, 5000
			var wg sync.WaitGroup
			for sender := range senders {
				wg.Go(func() {
					for i := range each {
						if sender == 0 && i%1000 == 500 { // it stands still for some thousand entries
							syscall.Kill(j.PID(), [...]syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT}[i/1000%2])
						}
						e.Send(emit.Info, "line", emit.Int("SENDER", int64(sender)), emit.Int("NUMBER", int64(i)))
					}
				})
			}
			wg.Wait()
			syscall.Kill(j.PID(), syscall.SIGCONT)
			closeAll(t, e)
			lines, told := uint64(0), uint64(0)
			last := make(map[string]int)
			stored(t, j, func(r journal.Record) {
				if n, ok := r.Get("EMIT_DROPPED"); ok {
					d, _ := strconv.ParseUint(string(n), 10, 64)
					told += d
					return
				}
				lines++
				sender, _ := r.Get("SENDER")
				number, _ := r.Get("NUMBER")
				n, _ := strconv.Atoi(string(number))
				if before, ok := last[string(sender)]; ok && n <= before {
					t.Errorf("sender %s: %d comes after %d", sender, n, before)
				}
				last[string(sender)] = n
			})
			s := e.Stats()
			if s.Sent != senders*each || s.Sent != s.Written+s.Dropped || lines != s.Written || told != s.Dropped || s.Dropped == 0 {
				t.Errorf("%d lines stored, %d told of as dropped; %+v", lines, told, s)
			}
		})
	}
}

// TestAway: journald comes later, and is restarted.
func TestAway(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter"})
	j.Stop()
	e.Send(emit.Info, "before")
	j.Restart()
	until(t, "the first entry", func() bool { return e.Stats().Written == 1 })
	j.Restart()
	e.Send(emit.Info, "after")
	closeAll(t, e)
	var got []string
	stored(t, j, func(r journal.Record) {
		message, _ := r.Get("MESSAGE")
		got = append(got, string(message))
	})
	if diff := cmp.Diff([]string{"before", "after"}, got); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// silent is a socket that nobody reads from.
func silent(t testing.TB) (path string, conn *net.UnixConn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, conn
}

// TestClose: what cannot be written until the deadline is given up, and counted, and
// nothing is written, nor left in the queue, after it.
func TestClose(t *testing.T) {
	for name, path := range map[string]func() string{
		"nobody reads":    func() string { path, _ := silent(t); return path },
		"journald's away": func() string { return filepath.Join(t.TempDir(), "none") },
	} {
		t.Run(name, func(t *testing.T) {
			e := emit.New(emit.Options{Socket: path(), Entries: 1024})
			for range 1000 {
				e.Send(emit.Info, "line")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := e.Close(ctx)
			e.Send(emit.Info, "too late")
			// All but the last, which nobody waited for.
			want := fmt.Sprintf("%d entries were not written: %v", e.Stats().Dropped-1, context.DeadlineExceeded)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if again := e.Close(t.Context()); fmt.Sprint(again) != fmt.Sprint(err) {
				t.Errorf("the second Close says %v, the first %v", again, err)
			}
			if s := e.Stats(); s.Sent != 1001 || s.Sent != s.Written+s.Dropped || s.Dropped == 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestCloseInHand: the entry that the writer has in its hands when Close waits no longer
// is one that was not written.
func TestCloseInHand(t *testing.T) {
	e := emit.New(emit.Options{Socket: filepath.Join(t.TempDir(), "none")})
	e.Send(emit.Info, "held")
	until(t, "the writer to take it", e.Held)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 entries were not written") {
		t.Errorf("%v", err)
	}
}

// TestCloseWhileSending: whatever is sent meanwhile is written or counted.
func TestCloseWhileSending(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter", Entries: 64})
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				e.Send(emit.Info, "line")
			}
		})
	}
	until(t, "some entries", func() bool { return e.Stats().Written > 100 })
	closeAll(t, e)
	stop.Store(true)
	wg.Wait()
	lines := uint64(0)
	stored(t, j, func(r journal.Record) {
		if _, ok := r.Get("EMIT_DROPPED"); !ok {
			lines++
		}
	})
	if s := e.Stats(); s.Sent != s.Written+s.Dropped || lines != s.Written {
		t.Errorf("%d lines stored; %+v", lines, s)
	}
}

// TestFull: which entries stay in a full queue, by number and by bytes.
func TestFull(t *testing.T) {
	for _, tt := range []struct {
		name        string
		options     emit.Options
		message     int // its length
		first, last string
	}{
		{"the newest go", emit.Options{Entries: 4}, 1, "0", "3"},
		{"the oldest go", emit.Options{Entries: 4, DropOldest: true}, 1, "6", "9"},
		{"the newest go, by bytes", emit.Options{Bytes: 3500}, 900, "0", "2"},
		{"the oldest go, by bytes", emit.Options{Bytes: 3500, DropOldest: true}, 900, "7", "9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.options.Socket = filepath.Join(dir, "s")
			e := emit.New(tt.options)
			// The writer has this one in its hands, and waits for the socket.
			e.Send(emit.Info, "held")
			until(t, "the writer to take it", func() bool { return e.Held() })
			for i := range 10 {
				e.Send(emit.Info, strings.Repeat("x", tt.message), emit.Int("NUMBER", int64(i)))
			}
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: tt.options.Socket, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var numbers []string
			b := make([]byte, 1<<20)
			for s := e.Stats(); uint64(len(numbers)) < s.Sent-s.Dropped-1; { // less the one that was held
				conn.SetReadDeadline(time.Now().Add(30 * time.Second))
				n, err := conn.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				if _, number, ok := strings.Cut(string(b[:n]), "\nNUMBER="); ok {
					number, _, _ = strings.Cut(number, "\n")
					numbers = append(numbers, number)
				}
			}
			closeAll(t, e)
			if numbers[0] != tt.first || numbers[len(numbers)-1] != tt.last {
				t.Errorf("%v were written, want %s to %s", numbers, tt.first, tt.last)
			}
		})
	}
}

// TestLargeAmongSmall: a large entry that is new takes the room of as many as it needs.
func TestLargeAmongSmall(t *testing.T) {
	e := emit.New(emit.Options{Socket: filepath.Join(t.TempDir(), "none"), Bytes: 64 << 10, DropOldest: true})
	e.Send(emit.Info, "held")
	until(t, "the writer to take it", e.Held)
	for range 1000 {
		e.Send(emit.Info, "small")
	}
	before := e.Stats().Dropped
	e.Send(emit.Info, strings.Repeat("x", 60<<10))
	large := e.Stats().Dropped - before
	e.Send(emit.Info, "small")
	if n := e.Stats().Dropped - before - large; large < 100 || n > 1 {
		t.Errorf("%d entries went for the large one, and %d for a small one then", large, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); err == nil || e.Stats().Sent != e.Stats().Dropped {
		t.Errorf("%v, %+v", err, e.Stats())
	}
}

// TestAllocations: a Send that finds room allocates the memory of its slot, whatever its
// size, and nothing once the queue has its memory.
func TestAllocations(t *testing.T) {
	path, conn := silent(t)
	go io.Copy(io.Discard, conn)
	const entries = 2048
	e := emit.New(emit.Options{Socket: path, Entries: entries})
	defer closeAll(t, e)
	send := func() {
		e.Send(emit.Info, "ada@example.com has signed up", emit.String("USER_ID", "4711"), emit.Int("AGE", 36), emit.Bytes("RAW", []byte("x")))
	}
	for _, size := range []int{10, 300, 700, 900, 2000} {
		message := strings.Repeat("x", size)
		n := testing.AllocsPerRun(entries/8, func() { e.Send(emit.Info, message, emit.String("USER_ID", "4711")) })
		if n > 1 {
			t.Errorf("%v allocations for the first entries of %d bytes", n, size)
		}
	}
	for range entries {
		send()
	}
	until(t, "the queue to be empty", func() bool { s := e.Stats(); return s.Written+s.Dropped == s.Sent })
	if n := testing.AllocsPerRun(entries/2, send); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMemory: what a flood takes, with journald standing still, is bounded by the queue.
func TestMemory(t *testing.T) {
	path, _ := silent(t)
	const limit, entries = 4 << 20, 1024
	e := emit.New(emit.Options{Socket: path, Entries: entries, Bytes: limit})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	small, large := strings.Repeat("x", 700), strings.Repeat("y", 100<<10)
	for i := range 100_000 {
		if i%10 == 0 {
			e.Send(emit.Info, large)
		} else {
			e.Send(emit.Info, small)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*limit+entries*1<<10 {
		t.Errorf("%d bytes more are in use", grown)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e.Close(ctx)
}
