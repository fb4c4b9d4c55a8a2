// Package action is what every destination has in common: the Action interface,
// the Message it is given, the errors it answers with, and the templates that
// make a message's text. Each kind of action is a package of its own below
// this one, named after what it talks to; package actiontest holds the contract
// that they all pass.
//
// An action does one thing: hand over a batch once, and tell truthfully what
// became of it. It never retries, never logs and never sleeps: the engine
// (package router) does that, for all of them alike, by the error's class.
package action

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// A Message is one delivery: one entry that one rule sends to one action.
type Message struct {
	// ID is the delivery's id: 32 hexadecimal digits, a hash of the entry's
	// cursor, the rule and the action. A repeat of the delivery has the same, so
	// that a destination which can tell repeats should be given it.
	ID string
	// Rule is the name of the rule that matched.
	Rule string
	// Text is the rendered `text:` of the rule or else of the action; without
	// either, MESSAGE less the prefix that the rule matched. For an Escaper, what
	// comes from the entry has been escaped in both.
	Text string
	// Custom says that the user wrote a `text:`: an action with a richer default
	// form (all fields as JSON, say) uses that only if Custom is false.
	Custom bool
	// Record is the whole entry.
	Record journal.Record
	// Data is what templates in the action's own settings see. Its Text is MESSAGE
	// less the rule's prefix, as the entry has it: neither rendered nor escaped.
	Data Data
}

// An Action carries out deliveries at one destination. It is used by one
// goroutine at a time, unless it is Parallel.
type Action interface {
	// Deliver returns nil only once the destination has accepted every message,
	// durably where that can be known. Otherwise:
	//
	//   - an error made by Permanent: the destination will never accept this
	//     message; it becomes a dead letter at once.
	//   - an error made by After: try again, but not before that time.
	//   - a *BatchError: some messages fared differently from others.
	//   - any other error: temporary; try again with exponential backoff. When
	//     in doubt, for instance after a lost reply, this is the one.
	//
	// A batch has at least one message, and no more than Batch says, or 1 where
	// the action is no Batcher. Deliver returns soon after ctx is done, which is
	// never held against the message. An error tells what failed, where and what
	// the user may do; it never contains a secret.
	Deliver(ctx context.Context, batch []Message) error
}

// A Batcher is an action that can carry several messages in one call. Only as many
// are put together as are waiting anyway, unless the user says how long to wait for
// more.
type Batcher interface {
	// Batch returns how many messages a call may have: without a word of the
	// user's, and at most.
	Batch() (usual, most int)
}

// A Fitter is a Batcher that cannot always carry as many. Fit returns how many of the
// messages, from the first on, go into one call: 1 at least.
type Fitter interface {
	Fit(batch []Message) int
}

// A Parallel action's Deliver may be called by several goroutines at once.
type Parallel interface {
	Parallel()
}

// An Escaper is an action whose text is mark-up. Everything that a template
// inserts goes through Escape; what the user wrote around it does not.
type Escaper interface {
	Escape(s string) string
}

// A Templater is an action with templates in its own settings. Templates returns them
// by the settings' names, as a FieldError has them; what they use is checked against
// each rule that leads to the action.
type Templater interface {
	Templates() map[string]*Template
}

// A Pinned action may do for whoever can log a line what he could not do himself. So the
// rules that lead to it should be pinned to a field that only journald writes.
type Pinned interface {
	// Pin says what that is, in words between "and so" and the action's name, as "run the
	// command of"; empty if nothing. A rule that is not pinned is a note then, or with
	// must an error.
	Pin() (risk string, must bool)
}

// A Prober can tell whether Deliver would get through.
type Prober interface {
	// Probe connects to the destination and tries what of the settings can be tried,
	// the credentials above all, without sending or changing anything there. Its
	// errors are like those of Deliver, of no class. It returns soon after ctx is
	// done, and may be called while Deliver is.
	Probe(ctx context.Context) error
}

// A Closer is an action that holds something open. Close is called once, after
// the last Deliver.
type Closer interface {
	Close() error
}

// A TimeLimiter is an action that sets its own time limit for one Deliver; the
// others get DefaultTimeout.
type TimeLimiter interface {
	TimeLimit() time.Duration
}

// DefaultTimeout is how long one Deliver may take before it counts as a
// temporary failure.
const DefaultTimeout = 30 * time.Second

// A Secret is a setting that is never shown: every way of printing it prints
// "[secret]". (Only within an unexported field of a struct would package fmt
// print it, as it can call no methods there: keep it out of those, or the struct
// out of the log.)
type Secret string

func (Secret) String() string               { return "[secret]" }
func (Secret) Format(f fmt.State, _ rune)   { io.WriteString(f, "[secret]") }
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Reveal returns the secret itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// A FieldError is a setting that an action's New refuses; package config turns
// Key into a position in the user's file. Several are joined by errors.Join.
type FieldError struct {
	// Key is the setting's name within the action's section, or empty for the
	// section as a whole. Parts of a nested one are joined by dots.
	Key string
	// Problem says what is wrong, and Hint what to do; the hint may be empty.
	Problem, Hint string
}

func (e *FieldError) Error() string {
	s := e.Problem
	if e.Key != "" {
		s = e.Key + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}
