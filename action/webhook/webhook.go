// Package webhook is the action that posts to a URL.
package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration.
type Config struct {
	// URL is where to post to, http or https. Required.
	URL string `yaml:"url,required"`
	// Headers are sent beside the action's own: Content-Type, User-Agent and
	// Idempotency-Key, of which the first two can be replaced here.
	Headers map[string]action.Secret `yaml:"headers"`
	// Timeout is the time limit of one request, its reply included. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// TLS is for https: what to trust, and the router's own certificate.
	TLS action.TLS `yaml:"tls"`
	// Format says how the body is made: see Format.
	Format Format `yaml:"format"`
}

// A Format is how deliveries become the body of a request. Array and NDJSON can carry
// several, and look the same for one.
type Format string

const (
	// Single is one delivery: the user's `text:` as it is, else a JSON object of
	// id, rule, text and fields. It is the default, and written as "".
	Single Format = ""
	// Array is a JSON array, and NDJSON one JSON value a line. A value is the
	// object, or the user's `text:`, which is a JSON string unless it is JSON itself.
	Array  Format = "array"
	NDJSON Format = "ndjson"
)

// Action posts deliveries, one in a request unless the Format can carry several.
type Action struct {
	format  Format
	url     *url.URL
	header  http.Header
	secrets []string // what an error may not say
	timeout time.Duration
	client  *http.Client
}

var (
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Batcher     = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	target, header, security, err := c.check()
	if err != nil {
		return nil, err
	}
	return &Action{
		format:  c.Format,
		url:     target,
		header:  header,
		secrets: secrets(target, header),
		timeout: c.Timeout,
		client:  action.NewHTTPClient(security),
	}, nil
}

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.timeout == 0 {
		return action.DefaultTimeout
	}
	return a.timeout
}

// Close implements action.Closer.
func (a *Action) Close() error {
	a.client.CloseIdleConnections()
	return nil
}

// Batch implements action.Batcher.
func (a *Action) Batch() (usual, most int) {
	if a.format == Single {
		return 1, 1
	}
	return 1, 10_000
}

// Parallel implements action.Parallel.
func (*Action) Parallel() {}

// Probe implements action.Prober. It connects and, with https, shakes hands: whether
// the path and the headers are right, only a delivery can tell.
func (a *Action) Probe(ctx context.Context) error {
	if err := action.ProbeHTTP(ctx, a.client, a.url); err != nil {
		return fmt.Errorf("connect to %s: %w", a.url.Host, action.Redact(err, a.secrets...))
	}
	return nil
}

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if err := a.post(ctx, batch); err != nil {
		return fmt.Errorf("post to %s: %w", a.url.Host, action.Redact(err, a.secrets...))
	}
	return nil
}

func (a *Action) post(ctx context.Context, batch []action.Message) error {
	body, contentType, err := a.body(batch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = a.header.Clone()
	req.Host = req.Header.Get("Host") // net/http sends no header of that name; "" means the URL's
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", action.UserAgent)
	}
	// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
	req.Header.Set("Idempotency-Key", key(batch))
	resp, detail, err := action.SendHTTP(a.client, req)
	if err != nil {
		return err
	}
	return action.CheckStatus(resp, string(detail))
}
