package nats_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/nats"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestAnswers: what a stream, or the lack of one, says to a message.
func TestAnswers(t *testing.T) {
	s := startServer(t, "max_payload: 128KB")
	for _, c := range []jetstream.StreamConfig{
		{Name: "ONE", Subjects: []string{"one"}, MaxMsgs: 1, Discard: jetstream.DiscardNew},
		{Name: "BYTES", Subjects: []string{"bytes"}, MaxBytes: 100, Discard: jetstream.DiscardNew},
		{Name: "SMALL", Subjects: []string{"small"}, MaxMsgSize: 100},
		{Name: "ANY", Subjects: []string{"any"}},
		{Name: "SEALED", Subjects: []string{"sealed"}},
	} {
		makeStream(t, s, c)
	}
	makeStream(t, s, jetstream.StreamConfig{Name: "SEALED", Subjects: []string{"sealed"}, Sealed: true})
	if err := deliver(t, newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "one"}), message(0, "zero")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		subject, stream, text string
		headers               map[string]string
		permanent             bool
		words                 string
	}{
		{subject: "one", words: `JetStream answered "maximum messages exceeded", error 10077 (raise its limits`},
		{subject: "bytes", text: strings.Repeat("x", 200), words: `maximum bytes exceeded`},
		{subject: "small", text: strings.Repeat("x", 200), permanent: true, words: `error 10054 (raise the stream's max_msg_size`},
		{subject: "any", headers: map[string]string{"Long": strings.Repeat("x", 66000)}, permanent: true, words: `10097`},
		{subject: "small", headers: map[string]string{"Nats-TTL": "soon"}, permanent: true, words: `JetStream answered`},
		{subject: "one", text: strings.Repeat("x", 128<<10), permanent: true, words: "its 131072 bytes, with the headers, are more than the server's max_payload of 131072 (raise that"},
		{subject: "sealed", permanent: true, words: `10109`},
		{subject: "one", stream: "SMALL", permanent: true, words: `error 10060 (set stream to the one`},
		{subject: "nowhere", words: "no stream answered (make a stream that takes the subject"},
		{subject: "nowhere", stream: "ONE", words: "no stream answered"},
	}
	for _, tt := range tests {
		a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: tt.subject, Stream: tt.stream, Headers: tt.headers})
		err := deliver(t, a, message(1, tt.text))
		checkError(t, err, tt.permanent, tt.words)
		checkError(t, err, tt.permanent, "publish to "+tt.subject+" at "+s.Address+": ")
		// The others of a batch go their own way.
		if errs := each(t, deliver(t, a, message(1, tt.text), message(2, tt.text)), 2); tt.permanent {
			checkError(t, errs[1], true, tt.words)
		}
	}
	// A subject that cannot be is one of the message's.
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "one{{ if .Unit }}.{{ end }}"})
	checkError(t, deliver(t, a, message(3, "", "_SYSTEMD_UNIT", "x")), true, `the subject "one." has a dot`)
}

// TestTooLarge: what a file of the server's cannot hold.
func TestTooLarge(t *testing.T) {
	s := startServer(t, "max_payload: 64MB")
	makeStream(t, s, logs)
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.a"})
	if err := deliver(t, a, message(1, strings.Repeat("x", 10<<20))); err != nil {
		t.Error(err)
	}
	checkError(t, deliver(t, a, message(2, strings.Repeat("x", 34<<20))), true, `JetStream answered "message too large", error 10077 (send less`)
}

// TestStranger: the first answer comes from one who is no stream.
func TestStranger(t *testing.T) {
	s := startServer(t, "")
	nc, err := client.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err = nc.Subscribe("logs.a", func(m *client.Msg) { m.Respond([]byte(`{"ok": true}`)) }); err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.a"})
	checkError(t, deliver(t, a, message(1, "one")), false, "something that is no stream answers there")
}

// TestSubscriber: one who is no stream gets the message, and acknowledges nothing.
func TestSubscriber(t *testing.T) {
	s := startServer(t, "")
	nc, err := client.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("logs.a")
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		sub.NextMsg(time.Minute)
		cancel()
	}()
	a := newAction(t, nats.Config{URL: []string{s.URL()}, Subject: "logs.a"})
	checkError(t, a.Deliver(ctx, []action.Message{message(1, "one")}), false, "only a stream acknowledges, and not one with no_ack, nor a subscriber")
	checkError(t, a.Probe(t.Context()), false, "no stream takes logs.a")
}

// TestServers: those that are down are passed over.
func TestServers(t *testing.T) {
	s := startServer(t, "")
	makeStream(t, s, logs)
	c := nats.Config{URL: []string{"nats://127.0.0.1:9", "nats://nowhere.invalid", s.URL()}, Subject: "logs.a"}
	a := newAction(t, c)
	expect(t, a, false, "")
	if err := a.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	c.URL = c.URL[:2]
	err := deliver(t, newAction(t, c), message(1, "one"))
	checkError(t, err, false, "connect to 127.0.0.1:9: ")
	checkError(t, err, false, "connection refused; connect to nowhere.invalid: ")
	checkError(t, err, false, ": no such host")
	// A server that is none, and one of another kind.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c.URL = []string{"nats://" + silent.Addr().String(), s.URL()}
	start := time.Now()
	if err := deliver(t, newAction(t, c), message(2, "two")); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("a server that says nothing took %v", took)
	}
	// It leaves some of a short time limit to the others.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := newAction(t, c).Deliver(ctx, []action.Message{message(3, "three")}); err != nil {
		t.Error(err)
	}
}

// TestProbe: what it finds out about the stream; nothing is published.
func TestProbe(t *testing.T) {
	s := startServer(t, "")
	makeStream(t, s, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.shop", "logs.deep.*"}})
	off := startServer(t, `accounts {A: {users: [{user: a, password: a}]}, B: {jetstream: true, users: [{user: b, password: b}]}}`)
	tests := []struct {
		config nats.Config
		words  string
	}{
		{nats.Config{Subject: "logs.shop"}, ""},
		{nats.Config{Subject: "logs.shop", Stream: "LOGS"}, ""},
		{nats.Config{Subject: "logs.{{ .Unit }}"}, ""},
		{nats.Config{Subject: "{{ .Unit }}"}, ""},
		{nats.Config{Subject: "logs.other"}, "no stream takes logs.other (make a stream"},
		{nats.Config{Subject: "other.{{ .Unit }}"}, "no stream takes other.>"},
		{nats.Config{Subject: "logs.shop", Stream: "OTHER"}, "stream OTHER does not take logs.shop, or is not there; LOGS does"},
		{nats.Config{Subject: "other", Stream: "OTHER"}, "stream OTHER does not take other, or is not there"},
		{nats.Config{Subject: "logs.shop", Domain: "hub"}, "it is not on for this account"},
		{nats.Config{URL: []string{off.URL()}, Subject: "logs.shop", User: "a", Password: "a"}, "it is not on for this account"},
		{nats.Config{URL: []string{"nats://127.0.0.1:9"}, Subject: "logs.shop"}, "connection refused"},
	}
	for _, tt := range tests {
		if tt.config.URL == nil {
			tt.config.URL = []string{s.URL()}
		}
		err := newAction(t, tt.config).Probe(t.Context())
		if tt.words == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.config, err)
			}
			continue
		}
		checkError(t, err, false, tt.words)
	}
	if n, err := s.Count(t.Context(), "LOGS"); n != 0 || err != nil {
		t.Errorf("%d messages are in the stream, %v", n, err)
	}
}
