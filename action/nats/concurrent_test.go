package nats_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/nats"
)

// TestConcurrent: calls share a connection, which each that is stopped closes under the
// others. All is in the stream once in the end, and nothing is left over of a connection.
func TestConcurrent(t *testing.T) {
	const workers, batches, size = 8, 10, 300
	s := startServer(t, "")
	makeStream(t, s, logs)
	before := runtime.NumGoroutine()
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.a"})
	want := make(map[string]bool)
	var all sync.WaitGroup
	for w := range workers {
		var left [batches][]action.Message
		for b := range batches {
			for i := range size {
				n := (w*batches+b)*size + i
				left[b] = append(left[b], message(n, fmt.Sprint("line ", n)))
				want[fmt.Sprint("line ", n)] = true
			}
		}
		all.Go(func() {
			limit := time.Duration(w) * time.Millisecond
			for _, left := range left {
				for len(left) > 0 && !t.Failed() {
					limit = (limit + time.Millisecond) % (100 * time.Millisecond)
					left = deliverFor(t, a, left, limit)
				}
			}
		})
	}
	all.Wait()
	for _, text := range texts(t, s) {
		if !want[text] {
			t.Errorf("%s is there twice", text)
		}
		delete(want, text)
	}
	if len(want) > 0 {
		t.Errorf("%d of %d messages are not in the stream", len(want), workers*batches*size)
	}
	a.Close()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines more than before:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// deliverFor is one Deliver of so long; it returns what has to be delivered again.
func deliverFor(t *testing.T, a action.Action, batch []action.Message, limit time.Duration) (left []action.Message) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	err := a.Deliver(ctx, batch)
	if action.IsPermanent(err) {
		t.Errorf("%v; want a temporary error", err)
	}
	b, ok := err.(*action.BatchError)
	if !ok && err != nil {
		return batch
	}
	for i := range batch {
		switch {
		case err == nil || b.Errs[i] == nil:
		case action.IsPermanent(b.Errs[i]):
			t.Errorf("%v; want a temporary error", b.Errs[i])
		default:
			left = append(left, batch[i])
		}
	}
	return left
}
