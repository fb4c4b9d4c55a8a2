package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal/journaltest/stored"
)

// TestWalk: what `make example` does.
func TestWalk(t *testing.T) {
	var out bytes.Buffer
	if err := walk(t.Context(), &out, 100); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"\nSlack, #growth: ada@example.com has signed up\n", "\nmail to zoë@example.com: Welcome, Zoë\n",
		"/cup.png, 300000 bytes, image/png\n", "/products/cup: 2 views, ", " POST /hooks/payment  20 ", "journald stopped ",
		" of which 0 were dropped. All has arrived:\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in what it prints:\n%s", want, out.String())
		}
	}
}

func startTest(t *testing.T) *rig {
	t.Helper()
	r, err := start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the router's log:\n%s\nthe shop's log:\n%s", r.router.logged(), r.shop.logged())
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// use has several customers use the shop until the function it returns is called.
func use(t *testing.T, c *customers) (leave func()) {
	var wg sync.WaitGroup
	over := make(chan struct{})
	for one := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				var err error
				switch name := fmt.Sprintf("c%d-%d", one, n); {
				case n%50 == 10:
					err = c.signUp(name)
				case n%50 == 20:
					err = c.upload(name, "image/png", bytes.Repeat([]byte(name+"\x00\xff\n"), 1000))
				case n%50 == 30:
					err = c.pay([]byte(name + "\n\x00\xff"))
				default:
					err = c.look(fmt.Sprint("/products/", n%10))
				}
				if err != nil { // not answered, or not with 200
					t.Error(err)
					return
				}
			}
		})
	}
	return sync.OnceFunc(func() { close(over); wg.Wait() })
}

// more waits until so many more requests have been answered.
func more(t *testing.T, c *customers, requests int) {
	t.Helper()
	before := c.answered()
	check(t, until(t.Context(), "answers", func() error {
		if n := c.answered() - before; n < requests {
			return fmt.Errorf("%d of %d requests have been answered", n, requests)
		}
		return nil
	}))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written waits until nothing waits in the emitter, and returns the counts.
func written(t *testing.T, r *rig) (s emit.Stats) {
	t.Helper()
	check(t, until(t.Context(), "the emitter's queue to be empty", func() (err error) {
		if s, err = r.stats(); err == nil && s.Sent != s.Written+s.Dropped {
			err = fmt.Errorf("%+v", s)
		}
		return err
	}))
	return s
}

// TestRouterIsKilled: nobody waits for it, and nothing is lost.
func TestRouterIsKilled(t *testing.T) {
	r := startTest(t)
	c := r.newCustomers()
	leave := use(t, c)
	defer leave()
	for range 3 {
		more(t, c, 200)
		r.router.kill()
		more(t, c, 200)
		_, err := r.router.start()
		check(t, err)
	}
	leave()
	if s := written(t, r); s.Dropped > 0 {
		t.Errorf("%+v", s)
	}
	check(t, r.untilArrived(t.Context(), c.asked))
}

// TestJournaldIsKilled: nobody waits for it. What it had not read from its socket is lost
// with it; everything else arrives, and later all does.
func TestJournaldIsKilled(t *testing.T) {
	r := startTest(t)
	before, c, after := r.newCustomers(), r.newCustomers(), r.newCustomers()
	check(t, visit(before))
	check(t, r.untilArrived(t.Context(), before.asked))
	leave := use(t, c)
	defer leave()
	for range 3 {
		more(t, c, 200)
		r.journal.Kill()
		more(t, c, 200)
		check(t, r.journal.Restart())
	}
	leave()
	if s := written(t, r); s.Dropped > 0 {
		t.Errorf("%+v", s)
	}
	check(t, visit(after))
	written(t, r)
	stored, _, _ := r.stored(t)
	check(t, r.untilArrived(t.Context(), stored))
	all := make(tally)
	for _, one := range []*customers{before, c, after} {
		for destination, things := range one.asked {
			for thing, n := range things {
				all.add(destination, thing, n)
			}
		}
	}
	if extra := all.lacks(stored); extra != nil {
		t.Errorf("not asked for: %q", first(extra))
	}
	for name, one := range map[string]*customers{"before": before, "after": after} {
		if missing := stored.lacks(one.asked); missing != nil {
			t.Errorf("asked for %s, and missing: %q", name, first(missing))
		}
	}
	t.Logf("%d requests, %d things asked for, %d stored", c.answered(), total(all), total(stored))
}

// TestQueueIsFull: nobody waits for it; what it drops is counted, and told of.
func TestQueueIsFull(t *testing.T) {
	r := startTest(t)
	check(t, r.shop.stop())
	check(t, r.startShop(64))
	c := r.newCustomers()
	leave := use(t, c)
	defer leave()
	more(t, c, 200)
	check(t, syscall.Kill(r.journal.PID(), syscall.SIGSTOP))
	more(t, c, 1000)
	check(t, syscall.Kill(r.journal.PID(), syscall.SIGCONT))
	more(t, c, 200)
	leave()
	s := written(t, r)
	check(t, until(t.Context(), "the emitter to tell of all that it has dropped", func() error {
		if _, _, told := r.stored(t); told != s.Dropped {
			return fmt.Errorf("%d told of; %+v", told, s)
		}
		return nil
	}))
	stored, entries, _ := r.stored(t)
	if entries != s.Written || s.Sent != s.Written+s.Dropped || s.Dropped == 0 {
		t.Errorf("%d entries are stored; %+v", entries, s)
	}
	check(t, r.untilArrived(t.Context(), stored))
	if extra := c.asked.lacks(stored); extra != nil {
		t.Errorf("not asked for: %q", first(extra))
	}
	t.Logf("%d requests, %+v", c.answered(), s)
}

// stored is what the journal has from the shop: what its entries ask for, how many there
// are, and how many they say were dropped.
func (r *rig) stored(t *testing.T) (asked tally, entries, dropped uint64) {
	t.Helper()
	asked = make(tally)
	for _, record := range stored.In(t, r.journal) {
		get := func(name string) string {
			v, _ := record.Get(name)
			return string(v)
		}
		if get("SYSLOG_IDENTIFIER") != "shop" {
			continue
		}
		if n := get("EMIT_DROPPED"); n != "" {
			d, err := strconv.ParseUint(n, 10, 64)
			check(t, err)
			dropped += d
			continue
		}
		entries++
		text, slack := strings.CutPrefix(get("MESSAGE"), "SLACK: ")
		switch {
		case slack:
			asked.add(inSlack, text, 1)
		case get("MAIL_TO") != "":
			asked.add(inMail, welcome(get("MAIL_TO"), get("SUBJECT"), text), 1)
		case get("UPLOAD") != "":
			asked.add(inBucket, object(get("UPLOAD_NAME"), get("CONTENT_TYPE"), []byte(get("UPLOAD"))), 1)
		case get("PAGE") != "":
			asked.add(inReport, get("PAGE"), 1)
		case get("REQUEST_ID") != "":
			asked.add(inBodies, get("REQUEST_PATH")+" "+get("BODY"), 1)
		default:
			t.Errorf("an entry that asks for nothing: %s", record.AppendJSON(nil))
		}
	}
	return asked, entries, dropped
}

func total(t tally) (n int) {
	for destination := range t {
		n += t.count(destination)
	}
	return n
}

// TestTally: the comparison sees what is missing, and what is there twice.
func TestTally(t *testing.T) {
	want, got := make(tally), make(tally)
	want.add(inSlack, "a", 2)
	want.add(inMail, "m", 1)
	got.add(inSlack, "a", 1)
	got.add(inBucket, "b", 3)
	err := got.differs(want)
	text := "missing: 2\n\tSlack: 1 of 2: \"a\"\n\tmail: 1 of 1: \"m\"\nnot asked for, or twice: 1\n\tS3: 3 of 3: \"b\""
	if err == nil || err.Error() != text {
		t.Errorf("(-want +got):\n%s", cmp.Diff(text, fmt.Sprint(err)))
	}
	if err := want.differs(want); err != nil {
		t.Error(err)
	}
}
