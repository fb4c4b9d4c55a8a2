// Package control lets an administrator's command reach the daemon that runs on a
// state directory, which has the spool locked, through a Unix socket there: what
// it does, and its dead letters. Without a daemon the letters are those in the
// spool itself.
//
// The socket speaks HTTP: GET /dead streams one JSON letter a line; POST
// /dead/retry and /dead/drop answer with a Result, GET /status with a
// router.Snapshot. The letters are chosen by the query, see parseFilter. The socket belongs to the daemon's user alone: who can open
// it could read the spool as well.
package control

import (
	"context"
	"errors"
	"iter"

	"github.com/journald-router/journald-router/spool"
)

// Letters is what can be done with dead letters, wherever they are.
type Letters interface {
	// List yields the chosen letters, the oldest first.
	List(ctx context.Context, f spool.Filter) iter.Seq2[spool.LetterView, error]
	// Retry puts the chosen letters back into their queues. Those whose action is
	// not in the configuration are kept, and counted.
	Retry(ctx context.Context, f spool.Filter) (Result, error)
	// Drop deletes the chosen letters.
	Drop(ctx context.Context, f spool.Filter) (Result, error)
}

// Result says what was done.
type Result struct {
	// Count is how many letters were retried or dropped.
	Count int `json:"count"`
	// Kept is how many were left because their action, the key, is unknown.
	Kept map[string]int `json:"kept,omitempty"`
}

// Local are the letters of a spool that this process has open.
type Local struct {
	Spool *spool.Spool
	// HasAction tells whether the configuration has an action.
	HasAction func(name string) bool
}

// List implements Letters.
func (l Local) List(_ context.Context, f spool.Filter) iter.Seq2[spool.LetterView, error] {
	return func(yield func(spool.LetterView, error) bool) {
		for letter, err := range l.Spool.Letters(f) {
			if err != nil {
				yield(spool.LetterView{}, err)
				return
			}
			if !yield(letter.View(), nil) {
				return
			}
		}
	}
}

// Retry implements Letters.
func (l Local) Retry(_ context.Context, f spool.Filter) (Result, error) {
	n, kept, err := l.Spool.RetryLetters(f, l.HasAction)
	return Result{Count: n, Kept: kept}, err
}

// Drop implements Letters.
func (l Local) Drop(_ context.Context, f spool.Filter) (Result, error) {
	n, err := l.Spool.DropLetters(f)
	return Result{Count: n}, err
}

// ErrNoDaemon means that nobody answers on the socket.
var ErrNoDaemon = errors.New("no daemon is running")
