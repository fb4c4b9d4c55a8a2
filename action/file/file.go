// Package file is the action that appends to a file: one line a delivery, on
// disk before the delivery counts as done.
package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration.
type Config struct {
	// Path is the file to append to: an absolute path. The file is made, with
	// mode 0640, if it is missing; its directory is not. Required.
	Path string `yaml:"path,required"`
}

// Action appends a line for each delivery: the user's `text:`, with line breaks
// and control characters escaped, else the whole entry as one JSON object, in
// the form of journalctl --output=json. A batch is one write and one fsync.
//
// The file is opened by the first Deliver. To go on in a new file after a
// rotation, Close the Action and make another.
type Action struct {
	path string
	file *os.File // nil before the first Deliver, and after a failure
	room []byte   // for the lines of a batch
}

var (
	_ action.Batcher = (*Action)(nil)
	_ action.Closer  = (*Action)(nil)
	_ action.Prober  = (*Action)(nil)
)

// New makes the action; it does not touch the file. Its errors are
// *action.FieldError.
func New(c Config) (*Action, error) {
	switch {
	case c.Path == "":
		return nil, &action.FieldError{Key: "path", Problem: "is missing", Hint: "write a file's absolute path, like /var/log/router/growth.jsonl"}
	case !filepath.IsAbs(c.Path):
		return nil, &action.FieldError{Key: "path", Problem: "is not absolute", Hint: "begin it with /: the daemon's working directory is not the shell's"}
	case strings.HasSuffix(c.Path, "/"):
		return nil, &action.FieldError{Key: "path", Problem: "names a directory", Hint: "write a file's name after it"}
	case strings.ContainsRune(c.Path, 0):
		return nil, &action.FieldError{Key: "path", Problem: "has a NUL in it", Hint: "no file's name can"}
	}
	return &Action{path: c.Path}, nil
}

// Batch implements action.Batcher.
func (a *Action) Batch() (usual, most int) { return 5000, 5000 }

// Deliver implements action.Action. All of its errors are temporary, and mean
// that nothing of the batch stays in the file. A write in progress cannot be
// stopped by ctx: local disks do not need it.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.file != nil && deleted(a.file) {
		a.Close()
	}
	if a.file == nil {
		f, err := open(a.path)
		if err != nil {
			return err
		}
		a.file = f
	}
	lines := appendLines(a.room[:0], batch)
	if cap(lines) <= roomToKeep {
		a.room = lines
	}
	if err := write(a.file, lines); err != nil {
		a.Close() // opening it anew repairs what could not be undone
		return err
	}
	return nil
}

// Close implements action.Closer.
func (a *Action) Close() error {
	if a.file == nil {
		return nil
	}
	err := a.file.Close()
	a.file = nil
	return err
}

// roomToKeep bounds the memory for lines that is kept from batch to batch.
const roomToKeep = 16 << 20

func appendLines(b []byte, batch []action.Message) []byte {
	size := 0
	for _, m := range batch {
		size += len(m.Text) + len(m.Record.Packed()) + 256
	}
	b = slices.Grow(b, size)
	for _, m := range batch {
		if m.Custom {
			b = action.AppendLine(b, m.Text)
		} else {
			b = append(m.Record.AppendJSON(b), '\n')
		}
	}
	return b
}

// write appends b durably, or not at all.
func write(f *os.File, b []byte) error {
	before, err := f.Stat()
	if err != nil {
		return fmt.Errorf("append to file: %w", err)
	}
	n, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		return nil
	}
	// After a failed fsync, the kernel may have dropped what was written, and
	// says so only once: the lines must be written again, not synced again.
	err = fmt.Errorf("append to file: %w", err)
	after, statErr := f.Stat()
	if statErr != nil || after.Size() != before.Size()+int64(n) {
		return err // somebody else writes here too: theirs is not ours to cut
	}
	if cutErr := f.Truncate(before.Size()); cutErr != nil {
		return fmt.Errorf("%w, and what was written could not be cut off again: %w", err, cutErr)
	}
	return err
}
