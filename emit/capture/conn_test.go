package capture_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/emit/capture"
)

func readReply(t *testing.T, from *bufio.Reader) (*http.Response, string) {
	t.Helper()
	reply, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply, string(text)
}

// What came before the client broke off is kept.
func TestClientBreaksOff(t *testing.T) {
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) { read(w, r) })
			for i, request := range []string{"Content-Length: 5000\n\nhello", "Transfer-Encoding: chunked\n\n5\nhello\n", "Transfer-Encoding: chunked\n\n5\nhello\nnonsense\n"} {
				r.dial("POST / HTTP/1.1\nHost: a\n" + request).(*net.TCPConn).CloseWrite()
				e := r.last(uint64(i) + 1)
				length := ""
				if i == 0 {
					length = "5000"
				}
				r.want(e, "hello", length, capture.TruncatedClient)
			}
		})
	}
}

func TestClientBreaksOffHTTP2(t *testing.T) {
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			r := start(t, capture.Options{Wait: time.Minute}, func(w http.ResponseWriter, r *http.Request) { read(w, r) })
			body, send := io.Pipe()
			q, err := http.NewRequest("POST", r.second.URL, body)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				io.WriteString(send, "hello")
				send.CloseWithError(io.ErrClosedPipe)
			}()
			if _, err := r.second.Client().Do(q); err == nil {
				t.Error("there is a reply")
			}
			e := r.last(1)
			// The break may come before what was sent.
			if got := e.get("BODY"); !strings.HasPrefix("hello", got) || e.get("BODY_TRUNCATED") != capture.TruncatedClient {
				t.Errorf("%v", e)
			}
		})
	}
}

// A client that does not send what the handler does not want gets its reply, and delays
// it for no longer than Wait.
func TestSlowClient(t *testing.T) {
	for _, request := range []string{"Content-Length: 5000\n\nhello", "Content-Length: 5000000\n\nhello", "Transfer-Encoding: chunked\n\n5\nhello\n"} {
		r := start(t, capture.Options{Wait: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 1))
			fmt.Fprint(w, "not wanted")
		})
		before := time.Now()
		conn := r.dial("POST / HTTP/1.1\nHost: a\n" + request)
		from := bufio.NewReader(conn)
		reply, text := readReply(t, from)
		if text != "not wanted" || !reply.Close {
			t.Errorf("the reply is %q, and the connection stays: %v", text, !reply.Close)
		}
		if took := time.Since(before); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		length := ""
		if strings.Contains(request, "Length") {
			length = strings.Fields(request)[1]
		}
		r.want(r.last(1), "hello", length, capture.TruncatedTimeout)
		if strings.Contains(request, "Length: 5000\n") { // net/http reads it to its end
			io.WriteString(conn, strings.Repeat("x", 4995))
		}
		if _, err := from.ReadByte(); err != io.EOF {
			t.Errorf("the connection is not closed: %v", err)
		}
	}
}

func TestSlowClientHTTP2(t *testing.T) {
	r := start(t, capture.Options{Wait: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "not wanted") })
	body, send := io.Pipe()
	defer send.Close()
	go io.WriteString(send, "hello")
	reply, err := r.second.Client().Post(r.second.URL, "", body)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, err := io.ReadAll(reply.Body); string(text) != "not wanted" || err != nil {
		t.Errorf("the reply is %q: %v", text, err)
	}
	r.want(r.last(1), "hello", "", capture.TruncatedTimeout)
	if got := r.post(r.second, []byte("again"), false); got != "not wanted" {
		t.Errorf("the next reply is %q", got)
	}
}

func TestNoWait(t *testing.T) {
	r := start(t, capture.Options{Wait: -1}, func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 10))
	})
	body := random(1000)
	r.post(r.server, body, false)
	r.want(r.last(1), string(body[:10]), "1000", capture.TruncatedUnread)
}

// A connection over which a body was left unread is used again, with a context that lives.
func TestKeepAlive(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 6000 {
			io.WriteString(w, strings.Repeat("x", 5000))
		}
		fmt.Fprint(w, r.RemoteAddr, r.Context().Err())
	})
	first := ""
	for i, size := range []int{10, 5000, 6000, 100_000, 10} {
		for _, chunked := range []bool{false, true} {
			body := random(size)
			got := strings.TrimLeft(r.post(r.server, body, chunked), "x")
			if first == "" {
				first = got
			}
			if got != first || !strings.HasSuffix(got, "<nil>") {
				t.Errorf("request %d: %s, before %s", i, got, first)
			}
		}
	}
	for _, e := range r.entries(10) {
		if e.get("BODY_TRUNCATED") != "" {
			t.Errorf("%s", e.get("MESSAGE"))
		}
	}
}

// A client that asks before it sends is not asked for what the handler does not want.
func TestContinue(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		r := start(t, capture.Options{Wait: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
			if wanted {
				r.Body.Read(make([]byte, 1))
			}
		})
		conn := r.dial("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nExpect: 100-continue\n\n")
		from := bufio.NewReader(conn)
		reply, _ := readReply(t, from)
		if !wanted {
			if reply.StatusCode != 200 || !reply.Close {
				t.Errorf("the reply is %s, and the connection stays: %v", reply.Status, !reply.Close)
			}
			r.want(r.last(1), "", "5", capture.TruncatedUnread)
			continue
		}
		if reply.StatusCode != 100 {
			t.Fatalf("the reply is %s", reply.Status)
		}
		io.WriteString(conn, "hello")
		if reply, _ := readReply(t, from); reply.StatusCode != 200 || reply.Close {
			t.Errorf("the reply is %s, and the connection stays: %v", reply.Status, !reply.Close)
		}
		r.want(r.last(1), "hello", "5", "")
	}
}

// A connection that a handler has taken over is left alone.
func TestHijack(t *testing.T) {
	for _, controller := range []bool{false, true} {
		hijacked := make(chan error, 1)
		r := start(t, capture.Options{Wait: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 2))
			var conn net.Conn
			var buffer *bufio.ReadWriter
			var err error
			if controller {
				conn, buffer, err = http.NewResponseController(w).Hijack()
			} else {
				conn, buffer, err = w.(http.Hijacker).Hijack()
			}
			if err != nil {
				t.Error(err)
				return
			}
			r.Body.Close()
			go func() {
				defer conn.Close()
				text := make([]byte, 6)
				_, err := io.ReadFull(buffer, text)
				if err == nil && string(text) != "llo, w" {
					err = fmt.Errorf("it reads %q", text)
				}
				hijacked <- err
				io.WriteString(conn, "bye")
			}()
		})
		conn := r.dial("POST / HTTP/1.1\nHost: a\nContent-Length: 12\n\nhello")
		// It is logged before the connection is used on.
		r.want(r.last(1), "he", "12", capture.TruncatedUnread)
		io.WriteString(conn, ", world")
		if err := <-hijacked; err != nil {
			t.Error(err)
		}
		if text, err := io.ReadAll(conn); string(text) != "bye" {
			t.Errorf("%q %v", text, err)
		}
	}
}
