package action_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
)

func TestSendHTTP(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  int
		body    int // its length
	}{
		{"ok", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "four") }, 200, 4},
		{"redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}, 302, 0},
		{"10 MiB reply is cut", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 10<<20))
		}, 200, 4 << 20},
		{"body breaks off", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "four")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 200, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			client := action.NewHTTPClient(nil)
			defer client.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp, body, err := action.SendHTTP(client, req)
			if err != nil || resp.StatusCode != tt.status || tt.status == 200 && len(body) != tt.body {
				t.Errorf("%v, %d bytes, %v; want %d, %d bytes", resp.Status, len(body), err, tt.status, tt.body)
			}
		})
	}
}

// TestSendHTTPTrickle has a destination that answers, and then takes 1.5 seconds
// for every byte of its reply, without an end.
func TestSendHTTPTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer far.Close()
			if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
				return
			}
			fmt.Fprint(far, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			for {
				if _, err := far.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(1500 * time.Millisecond)
			}
		}()
		client := action.NewHTTPClient(nil)
		action.TransportOf(client).Proxy = nil
		action.TransportOf(client).DialContext = func(context.Context, string, string) (net.Conn, error) { return near, nil }
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://trickle.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, body, err := action.SendHTTP(client, req)
		if err != nil || resp.StatusCode != 200 || len(body) != 4 || time.Since(start) != 5*time.Second {
			t.Errorf("%v, %q, %v after %v", resp, body, err, time.Since(start))
		}
		<-ended
	})
}

func TestSendHTTPErrors(t *testing.T) {
	const secret = "s3cr3t-in-the-url"
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		<-r.Context().Done()
	}))
	defer hang.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	tests := []struct {
		name, url string
		timeout   time.Duration
		want      string
	}{
		{"time limit", hang.URL, 20 * time.Millisecond, "no answer within the time limit: context deadline exceeded"},
		{"refused", closed.URL, time.Minute, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
			defer cancel()
			url := strings.Replace(tt.url, "://", "://user:"+secret+"@", 1) + "/" + secret + "?q=" + secret
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = action.SendHTTP(action.NewHTTPClient(nil), req)
			if err == nil || !strings.Contains(err.Error(), tt.want) || action.IsPermanent(err) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			for ; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the secret is in %q", err)
				}
			}
		})
	}
}

// TestConnectionIsGivenUpAfterAFailure: the name leads to another address after the
// first failure at the old one, whose connection was kept.
func TestConnectionIsGivenUpAfterAFailure(t *testing.T) {
	for _, name := range []string{"hangs", "answers 503"} {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run(name+" over "+proto, func(t *testing.T) {
				// An answer that comes while the client hangs up is an answer: so it waits.
				release := make(chan struct{})
				defer close(release)
				failure := func(w http.ResponseWriter) {
					if name == "hangs" {
						<-release
					}
					http.Error(w, "moved away", http.StatusServiceUnavailable)
				}
				var broken atomic.Bool
				serve := func(name string) *httptest.Server {
					s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Proto != proto {
							t.Errorf("the request came by %s", r.Proto)
						}
						if name == "old" && broken.Load() {
							failure(w)
							return
						}
						io.WriteString(w, name)
					}))
					s.EnableHTTP2 = proto == "HTTP/2.0"
					s.StartTLS()
					t.Cleanup(s.Close)
					return s
				}
				before, after := serve("old"), serve("new")
				address := before.Listener.Addr().String()
				client := action.NewHTTPClient(nil)
				defer client.CloseIdleConnections()
				transport := action.TransportOf(client)
				transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
				transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}
				send := func(limit time.Duration) (string, error) {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://hook.test/", strings.NewReader("hello"))
					if err != nil {
						t.Fatal(err)
					}
					resp, body, err := action.SendHTTP(client, req)
					if err == nil {
						err = action.CheckStatus(resp, "")
					}
					return string(body), err
				}
				if who, err := send(time.Minute); who != "old" || err != nil {
					t.Fatalf("%q, %v", who, err)
				}
				broken.Store(true)
				if _, err := send(100 * time.Millisecond); err == nil {
					t.Fatal("the old address did not fail")
				}
				address = after.Listener.Addr().String()
				if who, err := send(10 * time.Second); who != "new" || err != nil {
					t.Errorf("after the failure: %q, %v; want the new address", who, err)
				}
			})
		}
	}
}
