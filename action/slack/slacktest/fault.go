package slacktest

import (
	"fmt"
	"net/http"
	"time"
)

// A Fault is what goes wrong with one request. The zero Fault is none.
type Fault struct {
	kind   kind
	status int
	header http.Header
	body   string
}

type kind int

const (
	none kind = iota
	status
	hang
	drop
	dropReply
)

// OK is no fault: for a script in which some requests go well.
var OK Fault

// Status answers with the HTTP status and body, and accepts nothing.
func Status(code int, body string) Fault {
	return Fault{kind: status, status: code, body: body}
}

// Redirect answers with the HTTP status and a Location.
func Redirect(code int, location string) Fault {
	return Fault{kind: status, status: code, header: http.Header{"Location": {location}}}
}

// RateLimited answers as Slack does to who posts too much: 429, with Retry-After
// in whole seconds.
func RateLimited(wait time.Duration) Fault {
	return Fault{
		kind: status, status: http.StatusTooManyRequests, body: `{"ok":false,"error":"ratelimited"}`,
		header: http.Header{"Retry-After": {fmt.Sprint(int(wait.Seconds()))}, "Content-Type": {"application/json; charset=utf-8"}},
	}
}

// Error answers as the Web API does to most that goes wrong: 200, ok: false.
func Error(code string) Fault {
	return Fault{
		kind: status, status: http.StatusOK, body: fmt.Sprintf(`{"ok":false,"error":%q}`, code),
		header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
	}
}

// Hang takes the request and says nothing until the client goes away.
func Hang() Fault { return Fault{kind: hang} }

// Drop closes the connection without an answer, and accepts nothing.
func Drop() Fault { return Fault{kind: drop} }

// DropReply accepts the message and closes the connection without an answer: the
// sender cannot know.
func DropReply() Fault { return Fault{kind: dropReply} }

// Script makes the next requests meet these faults, one each.
func (s *Slack) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, faults...)
}

// Always makes every request that no Script is for meet this fault, until
// Always(OK).
func (s *Slack) Always(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = &fault
}

// nowhere is a ResponseWriter for a reply that gets lost.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}
