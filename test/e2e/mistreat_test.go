package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// What follows are the ways of a hostile.

func never(_ *hostile, _ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// trickle writes a byte a second, until the client or the test ends.
func (h *hostile) trickle(w io.Writer, flush func() error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(w, "x"); err != nil || flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-h.over:
			return
		}
	}
}

func slowHeaders(h *hostile, w http.ResponseWriter, r *http.Request) {
	conn := hijack(w, r)
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Slow: ")
	h.trickle(conn, func() error { return nil })
}

func slowBody(h *hostile, w http.ResponseWriter, r *http.Request) {
	h.hook.accept(r)
	w.Header().Set("Content-Length", "1000")
	h.trickle(w, http.NewResponseController(w).Flush)
}

// closesInRequest reads what has come by then.
func closesInRequest(_ *hostile, w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	conn.Close()
}

func closesInBody(h *hostile, w http.ResponseWriter, r *http.Request) {
	h.hook.accept(r)
	w.Header().Set("Content-Length", "1000")
	io.WriteString(w, `{"ok":true,"ts":"1.2"`)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func largeReply(status int) func(*hostile, http.ResponseWriter, *http.Request) {
	return func(h *hostile, w http.ResponseWriter, r *http.Request) {
		if status == http.StatusOK {
			h.hook.accept(r)
		}
		w.WriteHeader(status)
		w.Write(bytes.Repeat([]byte("x"), 10<<20))
	}
}

func endlessReply(h *hostile, w http.ResponseWriter, r *http.Request) {
	h.hook.accept(r)
	for part := bytes.Repeat([]byte("x"), 64<<10); ; {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

func redirects(_ *hostile, w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
}

// raw reads the request, and writes what is no reply: the beginning once, the
// rest again and again.
func raw(begin string, again ...string) func(*hostile, http.ResponseWriter, *http.Request) {
	return func(_ *hostile, w http.ResponseWriter, r *http.Request) {
		conn := hijack(w, r)
		defer conn.Close()
		io.WriteString(conn, begin)
		for len(again) > 0 {
			if _, err := io.WriteString(conn, again[0]); err != nil {
				return
			}
		}
	}
}

// hijack takes the connection over once the request has come.
func hijack(w http.ResponseWriter, r *http.Request) net.Conn {
	io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return conn
}

func ofUnknownAuthority(h *hostile) (*tls.Certificate, error) {
	alone := newAuthority(h.ca.t)
	c := alone.certificate("localhost", time.Now().Add(time.Hour))
	return &c, nil
}

func expired(h *hostile) (*tls.Certificate, error) {
	c := h.ca.certificate("localhost", time.Now().Add(-time.Hour))
	return &c, nil
}

func wrongName(h *hostile) (*tls.Certificate, error) {
	c := h.ca.certificate("another.test", time.Now().Add(time.Hour))
	return &c, nil
}

func noHandshake(h *hostile) (*tls.Certificate, error) {
	<-h.over
	return nil, errors.New("the test is over")
}

func breaksHandshake(*hostile) (*tls.Certificate, error) { return nil, errors.New("no certificate") }
