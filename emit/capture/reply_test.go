package capture_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/emit/capture"
)

// A handler sees the ResponseWriter that it would see, and a long reply to a body that it
// has not read loses nothing of that.
func TestReplyBeforeBody(t *testing.T) {
	replies := map[string]func(w http.ResponseWriter, text string){
		"write":       func(w http.ResponseWriter, text string) { w.Write([]byte(text)) },
		"WriteString": func(w http.ResponseWriter, text string) { io.WriteString(w, text) },
		"ReadFrom":    func(w http.ResponseWriter, text string) { w.(io.ReaderFrom).ReadFrom(strings.NewReader(text)) },
		"Flush": func(w http.ResponseWriter, text string) {
			w.(http.Flusher).Flush()
			io.WriteString(w, text)
		},
		"controller": func(w http.ResponseWriter, text string) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			io.WriteString(w, text)
		},
		"close": func(w http.ResponseWriter, text string) { io.WriteString(w, text) },
	}
	long := strings.Repeat("long", 5000)
	for name, reply := range replies {
		t.Run(name, func(t *testing.T) {
			r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
				if name == "close" {
					r.Body.Close()
				}
				w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
				reply(w, long)
			})
			n := uint64(0)
			for _, size := range []int{10, 100_000} {
				for _, chunked := range []bool{false, true} {
					body := random(size)
					if got := r.post(r.server, body, chunked); got != long {
						t.Errorf("the reply is %.60q", got)
					}
					n++
					r.want(r.last(n), string(body), strconv.Itoa(size), "")
				}
			}
		})
	}
}

// Where the server has thrown away a part, what is kept is what comes before that.
func TestNoHole(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.ReadFull(r.Body, make([]byte, 1000))
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
	})
	body := random(900_000)
	conn := r.dial("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n")
	chunks := httputil.NewChunkedWriter(conn)
	chunks.Write(body)
	chunks.Close()
	io.WriteString(conn, "\r\n")
	e := r.last(1)
	got := e.get("BODY")
	if len(got) < 1000 || !strings.HasPrefix(string(body), got) || e.get("BODY_TRUNCATED") != capture.TruncatedUnread || e.get("BODY_LENGTH") != "" {
		t.Errorf("%d bytes are kept: %s", len(got), e.get("MESSAGE"))
	}
}

// A handler that reads and writes in turns, in full duplex, has all of the body kept.
func TestFullDuplex(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		for buffer := make([]byte, 1000); ; {
			n, err := r.Body.Read(buffer)
			w.Write(buffer[:n])
			control.Flush()
			if err != nil {
				return
			}
		}
	})
	body := random(300_000)
	conn := r.dial("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n")
	go func() {
		chunks := httputil.NewChunkedWriter(conn)
		chunks.Write(body)
		chunks.Close()
		io.WriteString(conn, "\r\n")
	}()
	if _, text := readReply(t, bufio.NewReader(conn)); text != string(body) {
		t.Error("the reply is not what was sent")
	}
	r.want(r.last(1), string(body), "300000", "")
}

// The limit of a handler's own is not that of what is kept.
func TestMaxBytesReader(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 100)
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		}
	})
	for i, s := range []*httptest.Server{r.server, r.second} {
		body := random(50_000)
		if got := r.post(s, body, false); !strings.Contains(got, "too large") {
			t.Errorf("the reply is %q", got)
		}
		r.want(r.last(uint64(i)+1), string(body), "50000", "")
	}
}

// A proxy's transport reads the body in a goroutine that may outlive the handler.
func TestReverseProxy(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		b, _ := io.ReadAll(r.Body)
		w.Write(b)
	}))
	defer behind.Close()
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, capture.Options{}, httputil.NewSingleHostReverseProxy(to).ServeHTTP)
	n := uint64(0)
	for _, s := range []*httptest.Server{r.server, r.second} {
		for _, chunked := range []bool{false, true} {
			body := random(200_000)
			if got := r.post(s, body, chunked); got != "" && len(got) != 0 && !bytes.HasSuffix([]byte(got), body[len(body)-10:]) {
				t.Errorf("the reply is %.60q", got)
			}
			n++
			r.want(r.last(n), string(body), "200000", "")
			reply, err := s.Client().Post(s.URL+"/refuse", "", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			n++
			if e := r.last(n); !strings.HasPrefix(string(body), e.get("BODY")) {
				t.Errorf("what is kept is not the beginning: %s", e.get("MESSAGE"))
			}
		}
	}
}

// Other middleware may hide what net/http's writer has: then nothing is added to it, and
// what the handler has left is not touched.
func TestOtherMiddleware(t *testing.T) {
	hidden := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	}
	r := startWith(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Flusher); ok {
			t.Error("the handler sees a Flusher where there is none")
		}
		io.ReadFull(r.Body, make([]byte, 10))
	}, hidden)
	body := random(1000)
	for i, s := range []*httptest.Server{r.server, r.second} {
		r.post(s, body, false)
		r.want(r.last(uint64(i)+1), string(body[:10]), "1000", capture.TruncatedUnread)
	}
	// Another's limit is no fault of the client's.
	r = startWith(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) { io.ReadAll(r.Body) }, func(next http.Handler) http.Handler {
		return http.MaxBytesHandler(next, 100)
	})
	r.post(r.server, body, false)
	r.want(r.last(1), string(body[:100]), "1000", capture.TruncatedUnread)
}

// A read after the reply has begun says that the body has ended only where the handler has
// seen all of it: a proxy would send on half of it as if it were whole.
func TestReadAfterReply(t *testing.T) {
	for _, c := range []struct {
		first int
		want  error
	}{{1000, io.EOF}, {10, http.ErrBodyReadAfterClose}} {
		errs := make(chan error, 1)
		r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
			io.CopyN(io.Discard, r.Body, int64(c.first))
			io.WriteString(w, strings.Repeat("x", 5000))
			n, err := r.Body.Read(make([]byte, 1))
			if n > 0 {
				err = fmt.Errorf("%d bytes are read", n)
			}
			errs <- err
		})
		for i, chunked := range []bool{false, true} {
			body := random(1000)
			r.post(r.server, body, chunked)
			if err := <-errs; err != c.want {
				t.Errorf("after %d bytes: %v, not %v", c.first, err, c.want)
			}
			r.want(r.last(uint64(i)+1), string(body), "1000", "")
		}
	}
}

// Where the server leaves the body alone when the reply begins, so that the handler can
// read on, that is still so.
func TestReadOnAfterReply(t *testing.T) {
	for name, head := range map[string]string{
		"the client closes": "HTTP/1.1\nConnection: close\n", "the handler closes": "HTTP/1.1\n", "asked for": "HTTP/1.1\nExpect: 100-continue\n", "old": "HTTP/1.0\n",
	} {
		for _, chunked := range []bool{false, true} {
			if chunked && name == "old" { // has no chunks
				continue
			}
			r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
				if name == "the handler closes" {
					w.Header().Set("Connection", "close")
				}
				first := make([]byte, 10)
				io.ReadFull(r.Body, first)
				w.(http.Flusher).Flush()
				rest, err := io.ReadAll(r.Body)
				fmt.Fprint(w, string(first)+string(rest), err)
			})
			conn := r.dial("POST / " + head + "Host: a\n")
			body := strings.Repeat("x", 20)
			if chunked {
				io.WriteString(conn, "Transfer-Encoding: chunked\r\n\r\n14\r\n"+body+"\r\n0\r\n\r\n")
			} else {
				io.WriteString(conn, "Content-Length: 20\r\n\r\n"+body)
			}
			from := bufio.NewReader(conn)
			reply, text := readReply(t, from)
			if reply.StatusCode == 100 {
				_, text = readReply(t, from)
			}
			if text != body+"<nil>" {
				t.Errorf("%s: the handler read %q", name, text)
			}
			r.want(r.last(1), body, "20", "")
		}
	}
}

// Once a handler has closed the body, it is told when the client goes away, as the server
// has read what was left.
func TestDisconnectAfterClose(t *testing.T) {
	told := make(chan bool, 1)
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		select {
		case <-r.Context().Done():
			told <- true
		case <-time.After(30 * time.Second):
			told <- false
		}
	})
	conn := r.dial("POST / HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello")
	r.want(r.last(1), "hello", "5", "")
	conn.Close()
	if !<-told {
		t.Error("the handler was not told")
	}
}
