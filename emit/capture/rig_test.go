package capture_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/emit/capture"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/journaltest/stored"
)

// rig is a server whose requests are kept in a private journald.
type rig struct {
	t       *testing.T
	journal *journaltest.T
	emit    *emit.Emitter
	keep    *capture.Middleware
	server  *httptest.Server // HTTP/1
	second  *httptest.Server // HTTP/2
	errors  bytes.Buffer     // of both, readable once they are closed
}

func start(t *testing.T, o capture.Options, h http.HandlerFunc) *rig {
	return startWith(t, o, h, nil)
}

// startWith puts other middleware outside of this.
func startWith(t *testing.T, o capture.Options, h http.HandlerFunc, outer func(http.Handler) http.Handler) *rig {
	t.Helper()
	r := &rig{t: t, journal: journaltest.Start(t, journaltest.Options{})}
	r.emit = emit.New(emit.Options{Socket: "/run/systemd/journal." + r.journal.Namespace() + "/socket", Identifier: "shop", Bytes: 256 << 20})
	t.Cleanup(func() { r.emit.Close(context.Background()) })
	r.keep = capture.New(r.emit, o)
	handler := r.keep.Wrap(h)
	if outer != nil {
		handler = outer(handler)
	}
	r.server, r.second = httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	logger := log.New(&r.errors, "", 0)
	r.server.Config.ErrorLog, r.second.Config.ErrorLog = logger, logger
	r.server.Start()
	r.second.EnableHTTP2 = true
	r.second.StartTLS()
	t.Cleanup(r.server.Close)
	t.Cleanup(r.second.Close)
	return r
}

// post sends a request with a body, whose length is told or not, and returns the reply.
func (r *rig) post(s *httptest.Server, body []byte, chunked bool) string {
	r.t.Helper()
	var reader io.Reader = bytes.NewReader(body)
	if chunked {
		reader = struct{ io.Reader }{reader}
	}
	reply, err := s.Client().Post(s.URL+"/upload?token=secret", "application/octet-stream", reader)
	if err != nil {
		r.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// dial begins a request over a connection of its own, which is closed in the end.
func (r *rig) dial(request string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

type entry map[string][]string

func (e entry) get(name string) string { return strings.Join(e[name], "|") }

// entries waits until n requests are in the journal, and returns what is there, in order.
func (r *rig) entries(n uint64) (entries []entry) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if s := r.emit.Stats(); r.keep.Stats().Requests >= n && s.Written+s.Dropped == s.Sent {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d are not kept: %+v, %+v", n, r.keep.Stats(), r.emit.Stats())
		}
	}
	for _, record := range stored.In(r.t, r.journal.Journald) {
		if id, _ := record.Get("MESSAGE_ID"); string(id) != capture.MessageID {
			continue
		}
		fields := entry{}
		for name, value := range record.Fields() {
			fields[string(name)] = append(fields[string(name)], string(value))
		}
		entries = append(entries, fields)
	}
	if uint64(len(entries)) != n {
		r.t.Fatalf("%d entries, not %d: %+v", len(entries), n, r.emit.Stats())
	}
	return entries
}

// last is the last of n entries.
func (r *rig) last(n uint64) entry {
	r.t.Helper()
	return r.entries(n)[n-1]
}

// want checks what there is of a body in an entry.
func (r *rig) want(e entry, body, length, truncated string) {
	r.t.Helper()
	if len(e["BODY"]) != 1 || e.get("BODY") != body {
		r.t.Errorf("the body of %d bytes, not %d, is %.60q..., not %.60q...", len(e.get("BODY")), len(body), e["BODY"], body)
	}
	if e.get("BODY_LENGTH") != length || e.get("BODY_TRUNCATED") != truncated {
		r.t.Errorf("%s: BODY_LENGTH=%s BODY_TRUNCATED=%s, not %s and %s", e.get("MESSAGE"), e.get("BODY_LENGTH"), e.get("BODY_TRUNCATED"), length, truncated)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

var bodies = slices.Concat([][]byte{
	{}, {0}, {'\n'}, []byte("\n\n\x00\xff=\nMESSAGE=forged\nPRIORITY=0\n"), []byte(`{"email": "ada@example.com"}`),
	bytes.Repeat([]byte("a\x00\n"), 100_000),
}, [][]byte{random(1000), random(70_000), random(300_000), random(1 << 20)})
