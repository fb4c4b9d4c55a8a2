// Package slacktest is a fake Slack, written from the documentation of Slack's
// API. It refuses what Slack refuses, in Slack's words, records what it accepts,
// and fails when told to. A Slack is one workspace with one bot.
//
// It has chat.postMessage, chat.update, conversations.history, .replies, .list
// and .info, files.getUploadURLExternal, files.completeUploadExternal, auth.test,
// and one incoming webhook:
//
// https://docs.slack.dev/reference/methods
// https://docs.slack.dev/apis/web-api
// https://docs.slack.dev/reference/block-kit/blocks
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
//
// Where the documentation is silent, it does what is known of the real Slack, and
// the comment there names who saw it. Where Slack would help a sloppy client out,
// for example by cutting a text, it refuses: a test wants to know.
package slacktest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

const (
	// Token is the bot's token unless Slack.Token says otherwise.
	Token = "xoxb-1234567890-0987654321-fakefakefakefakefakefake"
	// Scopes are all that this Slack has a method for.
	Scopes = "chat:write,channels:read,groups:read,channels:history,groups:history,files:write"
	// APIPath is where the Web API begins.
	APIPath = "/api/"
	// WebhookPath is the path of the one incoming webhook.
	WebhookPath = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"
	// WebhookChannel is the channel that the webhook belongs to.
	WebhookChannel = "#webhook"
)

// Slack is the fake: an http.Handler. Its fields are set before it serves, and
// not changed.
type Slack struct {
	// Token is the only one that is valid.
	Token string
	// Channels are those that exist, each with the bot in it: names (#growth), or
	// ids (C024BE91L). Nil means that every channel exists.
	Channels []string
	// Scopes are those of the token, separated by commas: without its scope a
	// method answers missing_scope. Default: Scopes
	Scopes string
	// PerChannel is how long after a post the next one to the same channel is
	// refused with 429. Slack's own limit is about a second, with bursts allowed:
	// https://docs.slack.dev/apis/web-api/rate-limits. Default: no limit
	PerChannel time.Duration
	// OnAccept, if not nil, is called with a new message before it counts as
	// accepted, one at a time; its error makes Slack answer internal_error. It must
	// not use the Slack.
	OnAccept func(Message) error

	mu       sync.Mutex
	posts    []*post // in the order of their timestamps
	byTS     map[string]*post
	posted   int   // how many of them are not a person's
	last     int64 // the last timestamp, in microseconds
	channels []*channel
	uploads  map[string]*upload
	requests map[string]int // by method
	changed  chan struct{}  // closed, and replaced, with every change
	faults
}

// New makes a Slack that is well.
func New() *Slack {
	return &Slack{
		Token: Token, Scopes: Scopes,
		byTS: map[string]*post{}, uploads: map[string]*upload{}, requests: map[string]int{}, changed: make(chan struct{}),
	}
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

// A method of the Web API.
type method struct {
	serve func(*Slack, request) answer
	// scopes of which the token needs one.
	scopes []string
	// json tells that it takes its arguments as JSON, too.
	json bool
}

// Scopes and content types are those of each method's page:
// https://docs.slack.dev/reference/methods
var methods = map[string]method{
	"auth.test":                    {(*Slack).authTest, nil, true},
	"chat.postMessage":             {(*Slack).postMessage, []string{"chat:write"}, true},
	"chat.update":                  {(*Slack).updateMessage, []string{"chat:write"}, true},
	"conversations.history":        {(*Slack).history, []string{"channels:history", "groups:history"}, true},
	"conversations.replies":        {(*Slack).replies, []string{"channels:history", "groups:history"}, false},
	"conversations.list":           {(*Slack).listChannels, []string{"channels:read", "groups:read"}, false},
	"conversations.info":           {(*Slack).channelInfo, []string{"channels:read", "groups:read"}, false},
	"files.getUploadURLExternal":   {(*Slack).uploadURL, []string{"files:write"}, false},
	"files.completeUploadExternal": {(*Slack).completeUpload, []string{"files:write"}, true},
}

const (
	// Webhook stands for the incoming webhook in ScriptFor and RequestsTo.
	Webhook = "webhook"
	// Upload stands for the address that takes the bytes of a file.
	Upload = "upload"
)

// methodOf is the name of what a path leads to; empty for nothing.
func methodOf(path string) string {
	switch {
	case strings.HasPrefix(path, APIPath):
		return strings.TrimPrefix(path, APIPath)
	case strings.HasPrefix(path, "/services/"):
		return Webhook
	case strings.HasPrefix(path, uploadPath):
		return Upload
	}
	return ""
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
	fault := s.begin(req.method)
	if fault.kind != none && fault.kind != dropReply {
		fault.meet(w, r)
		return
	}
	reply := s.serve(req)
	if fault.kind == none {
		fault = reply.lost
	}
	if fault.kind != none {
		fault.meet(w, r)
		return
	}
	reply.write(w)
}

// serve carries out one request; one at a time, as the order of messages is what
// tests ask about.
func (s *Slack) serve(r request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.method {
	case "":
		return plain(http.StatusNotFound, "404 page not found")
	case Webhook:
		return s.webhook(r)
	case Upload:
		return s.takeUpload(r)
	}
	m, ok := methods[r.method]
	if !ok {
		return refuse("unknown_method")
	}
	if r.argsErr != "" {
		return refuse(r.argsErr)
	}
	if refusal := s.authorize(r, m.scopes); refusal != nil {
		return *refusal
	}
	if r.contentType == jsonType && !m.json {
		r.args = map[string]any{}
	}
	return m.serve(s, r)
}

// begin counts a request and returns the fault that it meets, if any.
func (s *Slack) begin(method string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[method]++
	s.notify()
	return s.next(method)
}

func (s *Slack) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
