package router

import (
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/spool"
)

// An Action is a destination as the user configured it: one queue, one worker.
type Action struct {
	// Name is the user's name for it, and Kind what it is: slack, webhook, ...
	Name, Kind string
	// Destination carries out the deliveries.
	Destination action.Action
	// Text is the action's own `text:`, or nil. RuleText has those of the rules
	// that lead here, by the rule's name; they go before Text.
	Text     *action.Template
	RuleText map[string]*action.Template
	// Parse and RuleParse are, in the same way, what takes the message apart for the
	// templates.
	Parse     *action.Parser
	RuleParse map[string]*action.Parser
	// Batch says how many deliveries go into one call.
	Batch Batch
	// Rate bounds how often calls begin.
	Rate Rate
	// Concurrency is how many calls may be under way at once. With more than 1,
	// the default, deliveries may overtake each other.
	Concurrency int
	// Retry says how often to try again, and for how long.
	Retry Retry
	// MaxBytes bounds the queue, in bytes of its entries. WhenFull says what
	// happens then; nothing said is spool.Block.
	MaxBytes int64
	WhenFull spool.WhenFull
	// Redact takes the secrets of the configuration out of a text. Nil means
	// that there are none.
	Redact func(string) string
}

// blocks tells whether the queue stops the reader when it is full.
func (a *Action) blocks() bool {
	return a.WhenFull != spool.DropOldest && a.WhenFull != spool.DropNewest
}

// Batch is for an action.Batcher; others get one delivery at a time.
type Batch struct {
	// Max is how many deliveries a call carries at most; 0 means as many as is usual
	// for the action.
	Max int
	// Wait is how long the first delivery may wait for others to go with it.
	Wait time.Duration
	// MaxBytes bounds the entries of one call, in bytes; 0 means spool.PeekBytes. One
	// entry alone may exceed it.
	MaxBytes int
}

// Rate is so many calls in that time, evenly spaced but for Burst of them, which may
// begin at once after a pause. The zero value sets no bound.
type Rate struct {
	Calls int
	Per   time.Duration
	Burst int // at least 1
}

// Retry is the backoff after temporary failures: the wait begins with Min and
// doubles up to Max, each less a random part of up to a half, so that many
// routers do not come back at the same moment. A delivery whose destination has
// failed for GiveUpAfter without one success becomes a dead letter.
type Retry struct {
	Min, Max, GiveUpAfter time.Duration
}

// Defaults of the settings that every action has.
const (
	DefaultRetryMin    = 1 * time.Second
	DefaultRetryMax    = 5 * time.Minute
	DefaultGiveUpAfter = 72 * time.Hour
	DefaultQueueBytes  = 1 << 30
	DefaultWhenFull    = spool.Block
)
