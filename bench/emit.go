package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// three is the rival of emit.Send within a process: three fields as they are, through a
// channel with a buffer.
type three [3]emit.Field

func fields() three {
	return three{emit.String("USER_ID", "4711"), emit.String("PLAN", "pro"), emit.Int("AGE", 36)}
}

const emitted = "SLACK: ada@example.com has signed up"

func send(e *emit.Emitter) {
	f := fields()
	e.Send(emit.Info, emitted, f[0], f[1], f[2])
}

// emitSend measures what a Send costs who calls it, beside a send to a channel: with the
// consumer awake, in bursts that find room, and with it asleep, one at a time.
func (b *bench) emitSend() (reached, compared, want string, err error) {
	socket, done, err := b.reader()
	if err != nil {
		return
	}
	defer done()
	e := emit.New(emit.Options{Socket: socket})
	defer e.Close(context.Background())
	written := func() bool { s := e.Stats(); return s.Written+s.Dropped == s.Sent }
	c, received := make(chan three, emit.DefaultEntries), uint64(0)
	busy := make(chan three, emit.DefaultEntries)
	stop := make(chan struct{})
	defer close(stop)
	defer close(c)
	go func() {
		for range c {
		}
	}()
	go func() { // is awake, as the writer is while it has something to write
		for {
			select {
			case <-busy:
				received++
			case <-stop:
				return
			default:
				continue
			}
		}
	}()
	few := *b
	few.rounds = 20 * b.rounds
	m, err := few.interleave(
		func() (float64, error) { return burst(func() { send(e) }, written), nil },
		func() (float64, error) {
			return burst(func() { busy <- fields() }, func() bool { return len(busy) == 0 }), nil
		},
		func() (float64, error) { return single(func() { send(e) }, written), nil },
		func() (float64, error) {
			return single(func() { c <- fields() }, func() bool { return len(c) == 0 }), nil
		})
	if err != nil {
		return
	}
	if s := e.Stats(); s.Dropped > 0 {
		return "", "", "", fmt.Errorf("%d entries were dropped, which costs less than to queue them", s.Dropped)
	}
	allocations := testing.AllocsPerRun(1000, func() { send(e) })
	return fmt.Sprintf("%.0f ns, %.1f times the channel; asleep %.0f ns, %.1f times; %.0f allocations", m[0], m[0]/m[1], m[2], m[2]/m[3], allocations),
		fmt.Sprintf("a channel: %.0f ns, asleep %.0f ns", m[1], m[3]), "under 300 ns, at most 3 times the channel, at most 1 allocation", nil
}

// burst is the time of one of many sends, in nanoseconds, after which the consumer may
// catch up.
func burst(send func(), caughtUp func() bool) float64 {
	const n = 2000
	start := time.Now()
	for range n {
		send()
	}
	took := float64(time.Since(start)) / n
	for !caughtUp() {
		runtime.Gosched()
	}
	return took
}

// single is the time of a send to a consumer that has gone to sleep.
func single(send func(), caughtUp func() bool) float64 {
	var all []float64
	for range 50 {
		for asleep := time.Now().Add(50 * time.Microsecond); !caughtUp() || time.Now().Before(asleep); {
			runtime.Gosched()
		}
		start := time.Now()
		send()
		all = append(all, float64(time.Since(start)))
	}
	return median(all)
}

// reader is a socket, and who reads from it as journald does.
func (b *bench) reader() (path string, done func(), err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	go io.Copy(io.Discard, conn)
	return path, func() { conn.Close(); os.RemoveAll(dir) }, nil
}

// emitStopped has 16 goroutines send while journald stands still, and looks at the
// slowest calls. A goroutine that loses its processor in the midst of one is slow, too, which
// the machine does, not Send: so the same is measured with calls that do nothing.
func (b *bench) emitStopped() (reached, compared, want string, err error) {
	j, err := journaltest.Run(journaltest.Options{})
	if err != nil {
		return
	}
	defer j.Close()
	if err = syscall.Kill(j.PID(), syscall.SIGSTOP); err != nil {
		return
	}
	defer syscall.Kill(j.PID(), syscall.SIGCONT)
	e := emit.New(emit.Options{Socket: "/run/systemd/journal." + j.Namespace() + "/socket"})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	calls := byMany(func() { send(e) })
	runtime.GC()
	runtime.ReadMemStats(&after)
	nothing := byMany(func() {})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e.Close(ctx)
	return fmt.Sprintf("p50 %v, p99.99 %v; %d KiB more memory", calls[0], calls[1], (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>10),
		fmt.Sprintf("calls that do nothing: p99.99 %v; %d sent, %d dropped", nothing[1], e.Stats().Sent, e.Stats().Dropped), "p99.99 under 50µs, memory bounded", nil
}

// byMany has 16 goroutines do the same at once, and returns p50 and p99.99 of the time that
// it takes.
func byMany(do func()) [2]time.Duration {
	const senders, each = 16, 500_000
	times := make([][]time.Duration, senders)
	var wg sync.WaitGroup
	for i := range senders {
		times[i] = make([]time.Duration, each)
		wg.Go(func() {
			for n := range each {
				start := time.Now()
				do()
				times[i][n] = time.Since(start)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	return [2]time.Duration{all[len(all)/2], all[len(all)/10000*9999]}
}

// emitSustained sends so many lines a second to a real journald, and compares what it
// has with what was sent.
func (b *bench) emitSustained() (reached, compared, want string, err error) {
	const rate, seconds = 100_000, 5
	j, err := journaltest.Run(journaltest.Options{Persistent: true})
	if err != nil {
		return
	}
	defer j.Close()
	e := emit.New(emit.Options{Socket: "/run/systemd/journal." + j.Namespace() + "/socket", Identifier: "bench"})
	start := time.Now()
	for i := range rate * seconds {
		if due := start.Add(time.Duration(i) * time.Second / rate); i%100 == 0 {
			time.Sleep(time.Until(due))
		}
		send(e)
	}
	took := time.Since(start)
	if err = e.Close(context.Background()); err != nil {
		return
	}
	if err = j.Sync(); err != nil {
		return
	}
	stored, told, err := inJournal(j.Namespace())
	if err != nil {
		return
	}
	s := e.Stats()
	if s.Sent != stored+s.Dropped || s.Dropped != told {
		return "", "", "", fmt.Errorf("%d sent, but %d stored and %d dropped, of which %d were told of", s.Sent, stored, s.Dropped, told)
	}
	return fmt.Sprintf("%.0f lines/s sent = %.0f stored + %.0f dropped", float64(s.Sent)/took.Seconds(), float64(stored)/took.Seconds(), float64(s.Dropped)/took.Seconds()),
		fmt.Sprintf("journald, all the while: %.0f entries/s", float64(s.Written)/time.Since(start).Seconds()),
		"100000 lines/s, the count exact", nil
}

// inJournal is how many lines of the benchmark a journal has, and how many it says were
// dropped.
func inJournal(namespace string) (stored, told uint64, err error) {
	r, err := sdjournal.Open(sdjournal.Options{Namespace: namespace, Start: journal.Beginning})
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	r.Keep([]string{"EMIT_DROPPED", "USER_ID"}, nil)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return stored, told, nil
		}
		if err != nil {
			return 0, 0, err
		}
		if e == nil {
			continue
		}
		if v := e.Values(nil, "EMIT_DROPPED"); len(v) > 0 {
			n, err := strconv.ParseUint(string(v[0]), 10, 64)
			if err != nil {
				return 0, 0, err
			}
			told += n
		}
		if len(e.Values(nil, "USER_ID")) > 0 {
			stored++
		}
	}
}
