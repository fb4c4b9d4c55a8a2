// Package webhook is the action that posts to a URL.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
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
}

// Action posts one delivery in one request. The body is the user's `text:` as it
// is, else a JSON object of the delivery: id, rule, text and fields.
type Action struct {
	url     *url.URL
	header  http.Header
	secrets []string // what an error may not say
	timeout time.Duration
	client  *http.Client
}

var (
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	target, header, err := c.check()
	if err != nil {
		return nil, err
	}
	return &Action{
		url:     target,
		header:  header,
		secrets: secrets(target, header),
		timeout: c.Timeout,
		client:  action.NewHTTPClient(),
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

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if err := a.post(ctx, batch[0]); err != nil {
		return fmt.Errorf("post to %s: %w", a.url.Host, action.Redact(err, a.secrets...))
	}
	return nil
}

func (a *Action) post(ctx context.Context, m action.Message) error {
	body, contentType, err := body(m)
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
	req.Header.Set("Idempotency-Key", m.ID)
	resp, detail, err := action.SendHTTP(a.client, req)
	if err != nil {
		return err
	}
	return action.CheckStatus(resp, string(detail))
}

// body is what the message is as a request.
func body(m action.Message) (body []byte, contentType string, err error) {
	switch {
	case !m.Custom:
		body, err = whole(m)
		return body, "application/json", err
	case json.Valid([]byte(m.Text)):
		return []byte(m.Text), "application/json", nil
	}
	return []byte(m.Text), "text/plain; charset=utf-8", nil
}

// whole is all of the delivery as JSON, the fields in the form of
// journalctl --output=json.
func whole(m action.Message) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		ID     string         `json:"id"`
		Rule   string         `json:"rule"`
		Text   string         `json:"text"`
		Fields journal.Record `json:"fields"`
	}{m.ID, m.Rule, m.Text, m.Record})
	return b.Bytes(), err
}
