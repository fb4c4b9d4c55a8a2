package router

import (
	"time"

	"github.com/journald-router/journald-router/action"
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
	// Retry says how often to try again, and for how long.
	Retry Retry
	// MaxBytes bounds the queue, in bytes of its entries on disk.
	MaxBytes int64
	// Redact takes the secrets of the configuration out of a text. Nil means
	// that there are none.
	Redact func(string) string
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
)
