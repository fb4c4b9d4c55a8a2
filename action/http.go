package action

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// UserAgent is how actions that speak HTTP introduce themselves.
const UserAgent = "journald-router"

const (
	// replyLimit is how much of a reply's body is read. Slack's replies repeat
	// the message, 40,000 characters at most, twice: the second time with some 50
	// bytes for an emoji.
	replyLimit = 4 << 20
	// replyTime is how long a body may take once its headers are there.
	replyTime = 5 * time.Second
)

// NewHTTPClient makes the client for one action: proxies as the environment
// says (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), connections that are kept for
// half a minute but not after a failure, and no redirects: what a user wrote is
// where it goes. security is for https; nil trusts what the system trusts.
func NewHTTPClient(security *tls.Config) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = security
	t.IdleConnTimeout = 30 * time.Second
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport:     &transport{current: t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport begins anew after a failure. A connection that was kept leads to where
// the name led once, and that may be what fails: a host that is gone answers
// nothing, and over HTTP/2 a request without an answer does not end its
// connection; one that was taken out of service may answer 503 for ever.
type transport struct {
	mu      sync.Mutex
	current *http.Transport
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	used := t.get()
	resp, err := used.RoundTrip(req)
	if err != nil || resp.StatusCode >= 500 {
		t.renew(used)
	}
	return resp, err
}

func (t *transport) get() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current
}

// renew lets the next request use a new connection. Those of requests that are
// under way are closed after them.
func (t *transport) renew(used *http.Transport) {
	t.mu.Lock()
	if t.current == used {
		t.current = used.Clone()
	}
	t.mu.Unlock()
	used.CloseIdleConnections()
}

// CloseIdleConnections is what the method of http.Client calls.
func (t *transport) CloseIdleConnections() { t.get().CloseIdleConnections() }

// SendHTTP sends a request and returns the reply with the beginning of its body:
// no more than 4 MiB of it, and what comes within 5 seconds, so that no
// destination can hold up an action for long after it has answered. The reply
// is closed. Any error is temporary, and does not contain the URL.
func SendHTTP(c *http.Client, req *http.Request) (resp *http.Response, body []byte, err error) {
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	resp, err = c.Do(req.WithContext(ctx))
	if err != nil {
		// A url.Error shows the URL, and in it perhaps a secret.
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within the time limit: %w", err)
		}
		return nil, nil, err
	}
	defer resp.Body.Close()
	defer time.AfterFunc(replyTime, cancel).Stop()
	// The status has come, and decides. A body that breaks off is short.
	body, _ = io.ReadAll(io.LimitReader(resp.Body, replyLimit))
	return resp, body, nil
}
