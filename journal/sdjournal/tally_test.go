package sdjournal_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// A sound journal is never told to be damaged, and loses nothing, whatever
// becomes of its files.
func TestNoDamageInSoundJournal(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Log("seed", seed)
		}
	}()
	j := journaltest.Start(t, journaltest.Options{Persistent: r.IntN(2) == 0})
	o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }}
	reader := open(t, o)
	var sent, read []string
	for range 60 {
		switch n := r.IntN(10); {
		case n < 3:
			for range 1 + r.IntN(30) {
				sent = append(sent, fmt.Sprint("line ", len(sent)))
				say(j, sent[len(sent)-1])
			}
			if r.IntN(2) == 0 {
				j.Sync()
			}
		case n < 4:
			j.Rotate()
		case n < 5:
			o.After = cursor(t, reader)
			reader = open(t, o)
		case n < 6:
			if err := reader.Process(); err != nil {
				t.Fatal(err)
			}
		case n < 7:
			reader.Wait(timeout(t, time.Millisecond))
		case n < 8:
			cursor(t, reader)
		default:
			for range r.IntN(60) {
				e, err := reader.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if e == nil {
					continue
				}
				if m, ok := message(e); ok {
					read = append(read, m)
				}
			}
		}
	}
	j.Sync()
	read = append(read, follow(t, reader, len(sent)-len(read))...)
	cursor(t, reader)
	check(t, "read", read, sent)
}
