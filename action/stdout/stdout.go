// Package stdout is the action that prints: for a first look, for a pipe, and
// for a unit whose standard output goes somewhere.
package stdout

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration. It has no settings.
type Config struct{}

// Action prints the text of each delivery as one line, in which line breaks and
// control characters are escaped. A batch is one write.
type Action struct {
	w    io.Writer
	busy chan struct{} // full while a write is under way
}

var _ action.Batcher = (*Action)(nil)

// New makes the action on the program's standard output.
func New(Config) (*Action, error) { return NewWriter(os.Stdout), nil }

// NewWriter makes the action on another writer.
func NewWriter(w io.Writer) *Action {
	return &Action{w: w, busy: make(chan struct{}, 1)}
}

// Batch implements action.Batcher.
func (a *Action) Batch() (usual, most int) { return 1000, 1000 }

// Deliver implements action.Action. All of its errors are temporary.
//
// A pipe that nobody reads from makes a write wait, and nothing can stop it: so
// Deliver leaves the write behind when ctx is done. The next Deliver waits for
// its end.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	var b []byte
	for _, m := range batch {
		b = action.AppendLine(b, m.Text)
	}
	select {
	case a.busy <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("write to standard output: nobody reads from it: %w", ctx.Err())
	}
	result := make(chan error, 1)
	go func() {
		_, err := a.w.Write(b)
		<-a.busy
		result <- err
	}()
	select {
	case err := <-result:
		if err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write to standard output: nobody reads from it: %w", ctx.Err())
	}
}
