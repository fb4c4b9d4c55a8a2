// Package slacktest is a fake Slack, written from the documentation of Slack's
// API: chat.postMessage and auth.test of the Web API, and incoming webhooks. It
// refuses what Slack refuses, in Slack's words, records what it accepts, and
// fails when told to.
//
// https://docs.slack.dev/reference/methods/chat.postMessage
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
// https://docs.slack.dev/apis/web-api/rate-limits
package slacktest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Token is the bot's token unless Slack.Token says otherwise.
	Token = "xoxb-1234567890-0987654321-fakefakefakefakefakefake"
	// APIPath is where the Web API begins.
	APIPath = "/api/"
	// WebhookPath is the path of the one incoming webhook.
	WebhookPath = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
	// WebhookChannel is the channel that the webhook belongs to.
	WebhookChannel = "#webhook"
)

// A Message is one that Slack accepted, and would show.
type Message struct {
	Channel, Text string
	// ID is the delivery's id, from the message's metadata; empty through a
	// webhook, which has none.
	ID string
	// ThreadTS is the timestamp of the message in whose thread it is, if any.
	ThreadTS string
	// Attachments are the message's, as JSON decodes.
	Attachments []map[string]any
	// Time is when it was accepted.
	Time time.Time
}

// Slack is the fake: an http.Handler. Its fields are set before it serves, and
// not changed.
type Slack struct {
	// Token is the only one that is valid.
	Token string
	// Channels are those that the bot may post to. Nil means that every channel
	// exists, and the bot is in it.
	Channels []string
	// Scopes are those of the token, as the header X-OAuth-Scopes tells them.
	Scopes string
	// OnAccept, if not nil, is called with a message before it counts as
	// accepted, one at a time; its error makes Slack answer internal_error.
	OnAccept func(Message) error

	mu       sync.Mutex
	messages []Message
	requests int
	script   []Fault       // for the next requests, one each
	always   *Fault        // for all others
	changed  chan struct{} // closed, and replaced, with every change
	sequence int
}

// New makes a Slack that is well.
func New() *Slack {
	return &Slack{Token: Token, Scopes: "chat:write,channels:read", changed: make(chan struct{})}
}

// A Server is a Slack that listens on loopback.
type Server struct {
	*Slack
	server *httptest.Server
}

// NewServer starts a Slack. Close it in the end.
func NewServer() *Server {
	s := New()
	return &Server{s, httptest.NewServer(s)}
}

// APIURL is for the setting api_url.
func (s *Server) APIURL() string { return s.server.URL + APIPath }

// WebhookURL is for the setting webhook_url.
func (s *Server) WebhookURL() string { return s.server.URL + WebhookPath }

// Close ends the server and every request that hangs in it.
func (s *Server) Close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// Messages returns what has been accepted, in order.
func (s *Slack) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Requests returns how many requests have come, whatever became of them.
func (s *Slack) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Wait waits until n messages have been accepted, and returns all there are. Its
// error is that of the context.
func (s *Slack) Wait(ctx context.Context, n int) ([]Message, error) {
	err := s.wait(ctx, func() bool { return len(s.messages) >= n })
	messages := s.Messages()
	if err != nil {
		err = fmt.Errorf("%d of %d messages have come: %w", len(messages), n, err)
	}
	return messages, err
}

// WaitRequests waits until n requests have come, whatever becomes of them.
func (s *Slack) WaitRequests(ctx context.Context, n int) error {
	return s.wait(ctx, func() bool { return s.requests >= n })
}

func (s *Slack) wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin counts a request and returns the fault that it meets, if any.
func (s *Slack) begin() (fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.notify()
	if len(s.script) > 0 {
		fault, s.script = s.script[0], s.script[1:]
	} else if s.always != nil {
		fault = *s.always
	}
	return fault
}

// accept records a message and returns its timestamp, which is its identity in
// the channel.
func (s *Slack) accept(m Message) (timestamp string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.Time = time.Now()
	if s.OnAccept != nil {
		if err := s.OnAccept(m); err != nil {
			return "", err
		}
	}
	s.messages = append(s.messages, m)
	s.sequence++
	s.notify()
	return fmt.Sprintf("%d.%06d", m.Time.Unix(), s.sequence), nil
}

func (s *Slack) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The whole body first: only then does the server notice a client that
	// leaves, and a fault comes after the request as it does in life.
	req, err := read(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fault := s.begin()
	switch fault.kind {
	case status:
		for name, values := range fault.header {
			w.Header()[name] = values
		}
		w.WriteHeader(fault.status)
		fmt.Fprint(w, fault.body)
		return
	case hang:
		<-r.Context().Done()
		return
	case drop:
		panic(http.ErrAbortHandler)
	case dropReply:
		w = nowhere{}
		defer panic(http.ErrAbortHandler)
	}
	switch path := r.URL.Path; {
	case path == APIPath+"chat.postMessage":
		s.postMessage(w, req)
	case path == APIPath+"auth.test":
		s.authTest(w, req)
	case strings.HasPrefix(path, APIPath):
		refuse(w, "unknown_method")
	case strings.HasPrefix(path, "/services/"):
		s.webhook(w, r, req)
	default:
		http.NotFound(w, r)
	}
}
