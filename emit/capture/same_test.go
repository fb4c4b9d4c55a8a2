package capture_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/emit/capture"
)

// A step is what a handler does next.
type step struct {
	do string
	n  int
}

// handle takes the steps, and returns what it has seen.
func handle(w http.ResponseWriter, r *http.Request, steps []step) string {
	var seen strings.Builder
	var length int64
	for _, s := range steps {
		switch s.do {
		case "read":
			b := make([]byte, s.n)
			n, err := io.ReadFull(r.Body, b)
			length += int64(n)
			if err != nil && err.Error() == "body closed by handler" { // HTTP/2's word for it
				err = http.ErrBodyReadAfterClose
			}
			// Once all was read, the server says one or the other, as it has closed the body
			// or not; with the middleware it is always the end.
			if errors.Is(err, http.ErrBodyReadAfterClose) && fmt.Sprint(length) == r.Header.Get("Length") && !strings.Contains(seen.String(), "close") {
				err = io.EOF
			}
			fmt.Fprintf(&seen, "read %d %.8x %v\n", n, sha256.Sum256(b[:n]), err)
		case "write":
			n, err := w.Write(make([]byte, s.n))
			fmt.Fprintf(&seen, "write %d %v\n", n, err)
		case "close":
			fmt.Fprintf(&seen, "close %v\n", r.Body.Close())
		case "flush":
			fmt.Fprintf(&seen, "flush %v\n", http.NewResponseController(w).Flush())
		case "connection":
			w.Header().Set("Connection", "close")
		case "panic":
			panic(http.ErrAbortHandler)
		}
	}
	return seen.String()
}

// streamID is in the errors of HTTP/2. It is another one where a connection is used again.
var streamID = regexp.MustCompile(`stream ID \d+`)

// Handlers see what they would see without the middleware, and clients, too: whatever
// steps a handler takes. What is kept is the body, or the beginning of it.
func TestSameAsWithout(t *testing.T) {
	var steps []step
	seen := make(chan string, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := "it panicked"
		defer func() { seen <- text }()
		text = handle(w, r, steps)
	})
	r := start(t, capture.Options{}, h)
	plain, second := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	second.EnableHTTP2 = true
	second.StartTLS()
	defer plain.Close()
	defer second.Close()
	ask := func(s *httptest.Server, body []byte, chunked bool) string {
		var reader io.Reader = bytes.NewReader(body)
		if chunked {
			reader = struct{ io.Reader }{reader}
		}
		q, err := http.NewRequest("POST", s.URL, reader)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Length", fmt.Sprint(len(body)))
		// One that the server is just closing would not get the request to the handler.
		s.Client().CloseIdleConnections()
		answer := "no reply"
		if reply, err := s.Client().Do(q); err == nil {
			text, err := io.ReadAll(reply.Body)
			reply.Body.Close()
			answer = fmt.Sprint(reply.Status, " ", len(text), " ", err, " ", reply.ContentLength, " ", reply.Close, " ", reply.Trailer)
		}
		return <-seen + streamID.ReplaceAllString(answer, "stream")
	}
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 100, 1999, 2048, 2049, 5000, 70_000}
	kinds := []string{"read", "read", "read", "write", "write", "close", "flush", "connection", "panic"}
	type request struct {
		steps   []step
		body    []byte
		chunked bool
	}
	var asked []request
	for range 300 {
		steps = nil
		for range random.IntN(7) {
			steps = append(steps, step{kinds[random.IntN(len(kinds))], sizes[random.IntN(len(sizes))]})
		}
		body := make([]byte, sizes[random.IntN(len(sizes))])
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		chunked := random.IntN(2) == 0
		for _, pair := range [][2]*httptest.Server{{plain, r.server}, {second, r.second}} {
			without, with := ask(pair[0], body, chunked), ask(pair[1], body, chunked)
			if without != with {
				t.Errorf("%v of %d bytes, chunked %v:\n%s\nnot\n%s", steps, len(body), chunked, with, without)
			}
			asked = append(asked, request{steps, body, chunked})
		}
	}
	for i, e := range r.entries(uint64(len(asked))) {
		a := asked[i]
		if kept := e.get("BODY"); !strings.HasPrefix(string(a.body), kept) || (kept == string(a.body)) != (e.get("BODY_TRUNCATED") == "") {
			t.Errorf("%v of %d bytes, chunked %v: %s", a.steps, len(a.body), a.chunked, e.get("MESSAGE"))
		}
	}
}
