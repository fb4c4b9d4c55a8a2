package slacktest

import (
	"net/http"
	"time"
)

// A Fault is what goes wrong with one request. The zero Fault is none.
type Fault struct {
	kind   kind
	answer *answer
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
	return Fault{status, &answer{status: code, body: body}}
}

// Redirect answers with the HTTP status and a Location.
func Redirect(code int, location string) Fault {
	return Fault{status, &answer{status: code, header: http.Header{"Location": {location}}}}
}

// RateLimited answers as Slack does to who posts too much: 429, with Retry-After
// in whole seconds.
func RateLimited(wait time.Duration) Fault {
	a := tooSoon(wait)
	return Fault{status, &a}
}

// Error answers as the Web API does to most that goes wrong: 200, ok: false.
func Error(code string) Fault {
	a := refuse(code)
	return Fault{status, &a}
}

// Hang takes the request and says nothing until the client goes away.
func Hang() Fault { return Fault{kind: hang} }

// Drop closes the connection without an answer, and accepts nothing.
func Drop() Fault { return Fault{kind: drop} }

// DropReply carries the request out and closes the connection without an answer:
// the sender cannot know.
func DropReply() Fault { return Fault{kind: dropReply} }

// meet is the fault as the client sees it.
func (f Fault) meet(w http.ResponseWriter, r *http.Request) {
	switch f.kind {
	case status:
		f.answer.write(w)
	case hang:
		<-r.Context().Done()
	case drop, dropReply:
		panic(http.ErrAbortHandler)
	}
}

// faults are those to come.
type faults struct {
	script    []Fault            // for the next requests, one each
	scriptFor map[string][]Fault // for the next requests to a method
	always    Fault              // for all others
	every     int                // of the posts that are accepted, one in so many
	everyNth  Fault              //     meets this
	accepted  int                // how many were accepted since
}

// Script makes the next requests meet these faults, one each.
func (s *Slack) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, faults...)
}

// ScriptFor makes the next requests to a method ("chat.update", Webhook, Upload)
// meet these faults, one each; they come before those of Script.
func (s *Slack) ScriptFor(method string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scriptFor == nil {
		s.scriptFor = map[string][]Fault{}
	}
	s.scriptFor[method] = append(s.scriptFor[method], faults...)
}

// Always makes every request that no script is for meet this fault, until
// Always(OK).
func (s *Slack) Always(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = fault
}

// EveryNth makes every nth new message be accepted, and its reply meet the fault:
// EveryNth(5, DropReply()) loses every fifth reply, EveryNth(5, Status(504, ""))
// is a proxy that gave up too early. EveryNth(0, OK) ends it.
func (s *Slack) EveryNth(n int, fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.every, s.everyNth, s.accepted = n, fault, 0
}

// next is the fault for the request that has just come.
func (f *faults) next(method string) (fault Fault) {
	if script := f.scriptFor[method]; len(script) > 0 {
		fault, f.scriptFor[method] = script[0], script[1:]
		return fault
	}
	if len(f.script) > 0 {
		fault, f.script = f.script[0], f.script[1:]
		return fault
	}
	return f.always
}

// afterAccepted is the fault for the reply to a message that was accepted.
func (f *faults) afterAccepted() Fault {
	if f.accepted++; f.every > 0 && f.accepted%f.every == 0 {
		return f.everyNth
	}
	return OK
}
