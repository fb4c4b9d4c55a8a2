package capture_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/journald-router/journald-router/emit/capture"
)

// reads are ways in which handlers treat a body. They return what they have seen of it.
var reads = map[string]func(w http.ResponseWriter, r *http.Request) ([]byte, error){
	"all":     func(_ http.ResponseWriter, r *http.Request) ([]byte, error) { return io.ReadAll(r.Body) },
	"nothing": func(http.ResponseWriter, *http.Request) ([]byte, error) { return nil, nil },
	"half": func(_ http.ResponseWriter, r *http.Request) ([]byte, error) {
		return io.ReadAll(io.LimitReader(r.Body, 500))
	},
	"close": func(_ http.ResponseWriter, r *http.Request) ([]byte, error) {
		b, err := io.ReadAll(io.LimitReader(r.Body, 500))
		if err == nil {
			err = r.Body.Close()
		}
		if _, after := r.Body.Read(make([]byte, 1)); r.ContentLength != 0 && len(b) == 500 && !errors.Is(after, http.ErrBodyReadAfterClose) {
			return b, fmt.Errorf("a read after Close has the error %v", after)
		}
		return b, err
	},
	"bytes": func(_ http.ResponseWriter, r *http.Request) (b []byte, err error) {
		for one := make([]byte, 1); len(b) < 1500; {
			n, err := r.Body.Read(one)
			b = append(b, one[:n]...)
			if err != nil {
				break
			}
		}
		return b, nil
	},
}

// Each body is in the journal as it was sent, however it was sent and read.
func TestBodies(t *testing.T) {
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
				seen, err := read(w, r)
				fmt.Fprintf(w, "%s %v %d", seen, err, r.ContentLength)
			})
			n := uint64(0)
			var want [][]byte
			for _, body := range bodies {
				for _, chunked := range []bool{false, true} {
					for _, s := range []*httptest.Server{r.server, r.second} {
						got := r.post(s, body, chunked)
						request := httptest.NewRequest("POST", "/", bytes.NewReader(body))
						seen, err := read(httptest.NewRecorder(), request)
						length := int64(len(body))
						if chunked {
							length = -1
						}
						if reply := fmt.Sprintf("%s %v %d", seen, err, length); name != "close" && got != reply {
							t.Errorf("%s: the handler saw %.80q, not %.80q", s.URL, got, reply)
						} else if !strings.Contains(got, " <nil> ") {
							t.Errorf("%s: the handler saw %.80q", s.URL, got)
						}
						want = append(want, body)
						n++
					}
				}
			}
			for i, e := range r.entries(n) {
				r.want(e, string(want[i]), strconv.Itoa(len(want[i])), "")
			}
			if s := r.keep.Stats(); s != (capture.Stats{Requests: n}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestFields(t *testing.T) {
	ids := make(chan string, 10)
	h := func(w http.ResponseWriter, r *http.Request) { ids <- capture.RequestID(r.Context()) }
	r := start(t, capture.Options{Headers: []string{"user-agent", "X-Tag", "Content-Type"}}, h)
	request := func(method, id string) *http.Request {
		q, err := http.NewRequest(method, r.server.URL+"/a%2Fb/%0A?token=secret", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header = http.Header{
			"User-Agent": {"curl"}, "X-Tag": {"a", "b"}, "Authorization": {"Bearer secret"}, "Cookie": {"secret"},
			"Content-Type": {"text/plain"}, "Content-Encoding": {"br"}, "X-Request-Id": {id},
		}
		reply, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		return q
	}
	request("PUT", "r-1")
	if id := <-ids; id != "r-1" {
		t.Errorf("the handler is told the id %q", id)
	}
	e := r.last(1)
	for name, want := range map[string]string{
		"MESSAGE": "PUT /a%2Fb/%0A: 1 bytes", "PRIORITY": "6", "REQUEST_ID": "r-1", "REQUEST_METHOD": "PUT", "REQUEST_PATH": "/a%2Fb/%0A", "SERVER_PROTOCOL": "HTTP/1.1",
		"HTTP_HOST": r.server.Listener.Addr().String(), "HTTP_USER_AGENT": "curl", "HTTP_X_TAG": "a|b", "CONTENT_TYPE": "text/plain", "CONTENT_ENCODING": "br",
		"BODY": "x", "BODY_LENGTH": "1", "BODY_TRUNCATED": "", "QUERY_STRING": "", "HTTP_CONTENT_TYPE": "",
	} {
		if got := e.get(name); got != want {
			t.Errorf("%s=%s, not %s", name, got, want)
		}
	}
	if !strings.HasPrefix(e.get("REMOTE_ADDR"), "127.0.0.1:") {
		t.Errorf("REMOTE_ADDR=%s", e.get("REMOTE_ADDR"))
	}
	if text := fmt.Sprint(e); strings.Contains(text, "secret") {
		t.Errorf("a secret is in %s", text)
	}
	// A bad id, or none, is replaced.
	for i, id := range []string{"", "a b", strings.Repeat("x", 129), "\xff"} {
		request("DELETE", id)
		got := r.last(uint64(i) + 2).get("REQUEST_ID")
		if told := <-ids; told != got || got == id || len(got) < 20 {
			t.Errorf("for %q: the id is %q, and the handler is told %q", id, got, told)
		}
	}
	// What only reads is not kept.
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		request(method, "r-2")
		if id := <-ids; id != "" {
			t.Errorf("%s has the id %q", method, id)
		}
	}
	r.entries(5)
}

func TestOptions(t *testing.T) {
	o := capture.Options{Query: true, IDHeader: "Traceparent", Choose: func(r *http.Request) bool { return r.Header.Get("Traceparent") != "" }}
	r := start(t, o, func(http.ResponseWriter, *http.Request) {})
	r.post(r.server, []byte("not chosen"), false)
	q, err := http.NewRequest("GET", r.server.URL+"/?a=b&c", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Traceparent", "00-1-2-3")
	reply, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	e := r.last(1)
	r.want(e, "", "0", "")
	if e.get("QUERY_STRING") != "a=b&c" || e.get("REQUEST_ID") != "00-1-2-3" {
		t.Errorf("%v", e)
	}
}

func TestLimit(t *testing.T) {
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			r := start(t, capture.Options{Limit: 1000}, func(w http.ResponseWriter, r *http.Request) { read(w, r) })
			n := uint64(0)
			for _, s := range []*httptest.Server{r.server, r.second} {
				for _, chunked := range []bool{false, true} {
					for _, size := range []int{999, 1000, 1001, 100_000, 3_000_000} {
						body := random(size)
						r.post(s, body, chunked)
						n++
						e := r.last(n)
						length := strconv.Itoa(size)
						switch {
						case size <= 1000:
							r.want(e, string(body), length, "")
						case chunked && e.get("BODY_LENGTH") == "": // it did not come to its end
							r.want(e, string(body[:1000]), "", capture.TruncatedLimit)
						default:
							r.want(e, string(body[:1000]), length, capture.TruncatedLimit)
						}
						if name == "all" && e.get("BODY_LENGTH") != length {
							t.Errorf("all was read, and the length of %d is %q", size, e.get("BODY_LENGTH"))
						}
					}
				}
			}
			if s := r.keep.Stats(); s != (capture.Stats{Requests: n, Truncated: n * 3 / 5}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A handler's panic goes on as it was, and the body is kept.
func TestPanic(t *testing.T) {
	for _, cause := range []any{errors.New("no"), http.ErrAbortHandler} {
		caught := make(chan any, 1)
		r := startWith(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 10))
			panic(cause)
		}, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					p := recover()
					caught <- p
					panic(p)
				}()
				next.ServeHTTP(w, r)
			})
		})
		for i, s := range []*httptest.Server{r.server, r.second} {
			body := random(100_000)
			if reply, err := s.Client().Post(s.URL, "", bytes.NewReader(body)); err == nil {
				t.Errorf("there is a reply: %s", reply.Status)
			}
			if p := <-caught; p != cause {
				t.Errorf("the panic is %v", p)
			}
			r.want(r.last(uint64(i)+1), string(body), "100000", "")
		}
	}
}

// Memory is bounded for all requests together, and given back.
func TestMemory(t *testing.T) {
	arrived, leave := make(chan bool), make(chan bool)
	r := start(t, capture.Options{Memory: 100_000, Limit: 60_000}, func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(io.Discard, r.Body, 50_000)
		arrived <- true
		<-leave
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	body := random(60_000)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			if got := r.post(r.server, body, false); got != "10000 <nil>" {
				t.Errorf("the handler saw %s", got)
			}
		})
	}
	for range 4 {
		<-arrived
		if m := r.keep.Stats().Memory; m > 100_000 {
			t.Errorf("%d bytes are taken", m)
		}
	}
	for range 4 {
		leave <- true
	}
	clients.Wait()
	without := 0
	for _, e := range r.entries(4) {
		if e.get("BODY_TRUNCATED") == "" {
			r.want(e, string(body), "60000", "")
			continue
		}
		without++
		if e["BODY"] != nil || e.get("BODY_TRUNCATED") != capture.TruncatedMemory || e.get("BODY_LENGTH") != "60000" || e.get("MESSAGE") != "POST /upload: 0 of 60000 bytes kept (memory)" {
			t.Errorf("%.300v", e)
		}
	}
	if s := r.keep.Stats(); without == 0 || s != (capture.Stats{Requests: 4, Truncated: uint64(without), NoRoom: uint64(without)}) {
		t.Errorf("%d without a body: %+v", without, s)
	}
	go func() { <-arrived; leave <- true }()
	r.post(r.server, body, false)
	r.want(r.last(5), string(body), "60000", "")
}

func TestConcurrently(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1)
		r.Body.Read(b)
		if b[0]%2 == 0 {
			io.Copy(io.Discard, r.Body)
		}
		if b[0]%3 == 0 {
			io.WriteString(w, strings.Repeat("x", 5000))
		}
	})
	const clients, each = 8, 25
	want := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				body := append(random((c*each+i)*211), byte(c), byte(i))
				mu.Lock()
				want[string(body)] = true
				mu.Unlock()
				r.post([]*httptest.Server{r.server, r.second}[i%2], body, i%3 == 0)
			}
		})
	}
	all.Wait()
	for _, e := range r.entries(clients * each) {
		if body := e.get("BODY"); !want[body] || e.get("BODY_TRUNCATED") != "" {
			t.Errorf("%s is not as it was sent, or twice there", e.get("MESSAGE"))
		} else {
			delete(want, body)
		}
	}
}

// A decoder stops where its value ends, and answers at length.
func TestDecoder(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		var v any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		json.NewEncoder(w).Encode(v)
		w.(http.Flusher).Flush()
	})
	body := `["` + strings.Repeat("x", 9000) + `"]` + strings.Repeat(" ", 1000)
	for i, chunked := range []bool{false, true} {
		r.post(r.server, []byte(body), chunked)
		r.want(r.last(uint64(i)+1), body, strconv.Itoa(len(body)), "")
	}
}

// Requests are answered when journald is away, and when it hangs.
func TestWithoutJournald(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	r.journal.Stop()
	for range 20 {
		if got := r.post(r.server, random(100_000), false); got != "100000 <nil>" {
			t.Errorf("the handler saw %s", got)
		}
	}
	r.journal.Restart()
	r.entries(20)
}

// The server removes the files of a form, though the handler has a copy of the request.
func TestForm(t *testing.T) {
	var seen *http.Request
	r := startWith(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil {
			t.Error(err)
		}
	}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			seen = r
		})
	})
	body := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + string(random(100_000)) + "\r\n--b--\r\n"
	reply, err := http.Post(r.server.URL, "multipart/form-data; boundary=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	r.want(r.last(1), body, strconv.Itoa(len(body)), "")
	r.server.Close()
	if seen.MultipartForm == nil {
		t.Fatal("the server's request has no form")
	}
	if f, err := seen.MultipartForm.File["f"][0].Open(); err == nil {
		f.Close()
		t.Error("the file is still there")
	}
}

// Trailers reach the handler, announced or not.
func TestTrailers(t *testing.T) {
	r := start(t, capture.Options{}, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Trailer.Get("Sum"))
	})
	for i, head := range []string{"Trailer: Sum\n", ""} {
		conn := r.dial("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n" + head + "\n5\nhello\n0\nSum: 42\n\n")
		reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(reply.Body); string(text) != "42" {
			t.Errorf("the trailer is %q", text)
		}
		r.want(r.last(uint64(i)+1), "hello", "5", "")
	}
	q, err := http.NewRequest("POST", r.second.URL, struct{ io.Reader }{strings.NewReader("hello")})
	if err != nil {
		t.Fatal(err)
	}
	q.Trailer = http.Header{"Sum": {"43"}}
	reply, err := r.second.Client().Do(q.WithContext(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, _ := io.ReadAll(reply.Body); string(text) != "43" {
		t.Errorf("the trailer is %q", text)
	}
}

// A client that sends a header very often does not get around being kept.
func TestManyHeaders(t *testing.T) {
	r := start(t, capture.Options{Headers: []string{"X-Forwarded-For"}}, func(http.ResponseWriter, *http.Request) {})
	conn := r.dial("POST / HTTP/1.1\nHost: shop\nConnection: close\nContent-Length: 4\n" + strings.Repeat("X-Forwarded-For: 1\n", 2000) + "\nbody")
	io.Copy(io.Discard, conn)
	r.want(r.last(1), "body", "4", "")
}
