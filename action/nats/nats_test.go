package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/nats"
	"github.com/journald-router/journald-router/action/nats/natstest"
	"github.com/journald-router/journald-router/journal"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const password = "the-password-0123"

// asRouter is a user who may do everything.
var (
	userRouter = `authorization {users: [{user: router, password: "` + password + `"}]}`
	asRouter   = client.UserInfo("router", password)
)

func TestContract(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: destination,
		Cannot:      map[actiontest.Mood]string{actiontest.Busy: "no answer of NATS has a time in it"},
		Secrets:     []string{password},
		Repeat:      "is dropped by the stream, by its Nats-Msg-Id",
		Once:        true,
	})
}

func destination(t *testing.T, mood actiontest.Mood) actiontest.Destination {
	s := startServer(t, userRouter)
	url := s.URL()
	c := nats.Config{Subject: "logs.{{ .Rule }}", User: "router", Password: password}
	d := actiontest.Destination{
		Accepted: func() []string { return texts(t, s, asRouter) },
		Heal:     func() { makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.*"}}, asRouter) },
	}
	if mood != actiontest.Failing {
		d.Heal()
	}
	switch mood {
	case actiontest.Refusing:
		c.Stream = "OTHER"
	case actiontest.Hanging:
		p := newProxy(t, &proxy{swallow: true}, s.Address)
		url, d.Reached = p.url(), p.reached
	case actiontest.Echoing:
		url = newProxy(t, &proxy{echo: true}, s.Address).url()
	}
	c.URL = []string{url}
	d.Action = newAction(t, c)
	return d
}

func startServer(t *testing.T, settings string) *natstest.Server {
	t.Helper()
	s, err := natstest.Start(t.TempDir(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func newAction(t *testing.T, c nats.Config) *nats.Action {
	t.Helper()
	a, err := nats.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func makeStream(t *testing.T, s *natstest.Server, c jetstream.StreamConfig, options ...client.Option) {
	t.Helper()
	if err := s.MakeStream(t.Context(), c, options...); err != nil {
		t.Fatal(err)
	}
}

func texts(t *testing.T, s *natstest.Server, options ...client.Option) (all []string) {
	t.Helper()
	messages, err := s.Messages(t.Context(), "LOGS", options...)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		all = append(all, string(m.Data()))
	}
	return all
}

// message is the n-th of a series; its text is the user's.
func message(n int, text string, fields ...string) action.Message {
	record := journal.NewRecord(fmt.Sprintf("s=0;i=%x", n), time.UnixMicro(1_700_000_000_000_000), 0)
	for i := 0; i+1 < len(fields); i += 2 {
		record = journal.NewRecord(record.Cursor(), record.Time(), 0, append(fieldsOf(record), journal.Field{Name: fields[i], Value: []byte(fields[i+1])})...)
	}
	id := fmt.Sprintf("%032x", n)
	return action.Message{ID: id, Rule: "r", Text: text, Custom: true, Record: record, Data: action.NewData(id, "r", text, nil, record)}
}

func fieldsOf(r journal.Record) (all []journal.Field) {
	for name, value := range r.Fields() {
		all = append(all, journal.Field{Name: string(name), Value: value})
	}
	return all
}

// deliver is Deliver within a time that the answers of a server do not need.
func deliver(t *testing.T, a action.Action, batch ...action.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := a.Deliver(ctx, batch)
	if ctx.Err() != nil {
		t.Fatalf("Deliver went on until its time limit: %v", err)
	}
	return err
}

// each takes the outcome of a batch apart.
func each(t *testing.T, err error, n int) []error {
	t.Helper()
	if err == nil {
		return make([]error, n)
	}
	b, ok := errors.AsType[*action.BatchError](err)
	if !ok || len(b.Errs) != n {
		t.Fatalf("%v; want an outcome for each of %d messages", err, n)
	}
	return b.Errs
}

// TestMessage: what a message is in the stream.
func TestMessage(t *testing.T) {
	s := startServer(t, "")
	makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}})
	a := newAction(t, nats.Config{
		URL: []string{s.URL()}, Subject: "logs.{{ .Unit }}.{{ .Fields.NAME }}", Stream: "LOGS",
		Headers: map[string]string{"Unit": "{{ .Unit }}", "Forged": "a{{ .Text }}b"},
	})
	plain := message(2, "two")
	plain.Custom = false
	if err := deliver(t, a, message(1, "one\r\nNats-Msg-Id: x", "_SYSTEMD_UNIT", "shop@1.service", "NAME", "> *"), plain); err != nil {
		t.Fatal(err)
	}
	got, err := s.Messages(t.Context(), "LOGS")
	if err != nil || len(got) != 2 {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	h := got[0].Headers()
	if got[0].Subject() != "logs.shop@1_service.___" || string(got[0].Data()) != "one\r\nNats-Msg-Id: x" ||
		h.Get("Nats-Msg-Id") != plain.ID[:31]+"1" || h.Get("Unit") != "shop@1.service" || h.Get("Forged") != "aone  Nats-Msg-Id: xb" {
		t.Errorf("%s %v %q", got[0].Subject(), h, got[0].Data())
	}
	want := `{"id":"` + plain.ID + `","rule":"r","text":"two","fields":{"__CURSOR":"s=0;i=2","__REALTIME_TIMESTAMP":"1700000000000000","__MONOTONIC_TIMESTAMP":"0"}}`
	if got[1].Subject() != "logs._._" || string(got[1].Data()) != want {
		t.Errorf("%s %s\nwant %s", got[1].Subject(), got[1].Data(), want)
	}
}

// TestRestart: a server that is killed, also while a batch is under way, and comes back
// is used again; nothing is lost, and nothing comes twice.
func TestRestart(t *testing.T) {
	s := startServer(t, "")
	makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs"})
	var want []string
	var waiting []action.Message
	for i := range 20_000 {
		want = append(want, fmt.Sprint("line ", i))
		waiting = append(waiting, message(i, want[i]))
	}
	if err := deliver(t, a, waiting[0]); err != nil {
		t.Fatal(err)
	}
	waiting = waiting[1:]
	s.Kill()
	if err := deliver(t, a, waiting[0]); err == nil || action.IsPermanent(err) {
		t.Fatalf("%v; want a temporary error", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	// Killed once it has some of them.
	killed := make(chan error, 1)
	go func() {
		for {
			if got, err := s.Count(t.Context(), "LOGS"); err != nil || got > 1000 {
				s.Kill()
				killed <- err
				return
			}
		}
	}()
	errs := each(t, deliver(t, a, waiting...), len(waiting))
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	var left []action.Message
	for i, err := range errs {
		if action.IsPermanent(err) {
			t.Fatal(err)
		}
		if err != nil {
			left = append(left, waiting[i])
		}
	}
	if len(left) == 0 || len(left) == len(waiting) {
		t.Errorf("%d of %d have failed: the server was not killed in the middle", len(left), len(waiting))
	}
	if err := deliver(t, a, left...); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d messages are in the stream, not those %d in their order", len(got), len(want))
	}
}

// TestLateMessage: what was sent, and arrives after Deliver has given it up, is not
// there twice when it is delivered again.
func TestLateMessage(t *testing.T) {
	s := startServer(t, "")
	makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs"}})
	p := newProxy(t, &proxy{hold: make(chan struct{})}, s.Address)
	a := newAction(t, nats.Config{URL: []string{p.url()}, Subject: "logs"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-p.reached
		cancel()
	}()
	if err := a.Deliver(ctx, []action.Message{message(1, "one")}); err == nil || action.IsPermanent(err) {
		t.Fatalf("%v; want a temporary error", err)
	}
	close(p.hold)
	<-p.ended
	if err := deliver(t, a, message(1, "one"), message(2, "two")); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, s); strings.Join(got, ",") != "one,two" {
		t.Errorf("the stream has %q", got)
	}
}

// TestOrder: behind a message that fails no more are sent than were already under way.
func TestOrder(t *testing.T) {
	const n, failing, inFlight = 1000, 10, 256
	s := startServer(t, "")
	makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.a"}})
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.{{ .Fields.TO }}"})
	var batch []action.Message
	for i := range n {
		to := "a"
		if i == failing {
			to = "b"
		}
		batch = append(batch, message(i, fmt.Sprint("line ", i), "TO", to))
	}
	errs := each(t, deliver(t, a, batch...), n)
	accepted := 0
	for i, err := range errs {
		switch {
		case err == nil:
			accepted++
		case action.IsPermanent(err):
			t.Fatalf("message %d: %v; want a temporary error", i, err)
		case i < failing:
			t.Fatalf("message %d: %v", i, err)
		case i > failing && !strings.Contains(err.Error(), "not sent, as one before it failed"):
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if errs[failing] == nil || accepted >= failing+inFlight {
		t.Errorf("message %d: %v; %d were accepted, want less than %d", failing, errs[failing], accepted, failing+inFlight)
	}
	if got := texts(t, s); len(got) != accepted {
		t.Errorf("%d messages are in the stream, and %d were said to be", len(got), accepted)
	}
}
