package journaltest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"iter"
	"os/exec"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// An Entry is one to be forged into a journal.
type Entry struct {
	Time      time.Time
	Monotonic time.Duration // since boot
	Boot      string        // boot id: 32 hexadecimal digits
	Fields    []journal.Field
}

// Boot1 and Boot2 are boot ids for forged entries.
const (
	Boot1 = "11111111111111111111111111111111"
	Boot2 = "22222222222222222222222222222222"
)

// Fields makes fields of pairs of a name and a value.
func Fields(pairs ...string) []journal.Field {
	fields := make([]journal.Field, len(pairs)/2)
	for i := range fields {
		fields[i] = journal.Field{Name: pairs[2*i], Value: []byte(pairs[2*i+1])}
	}
	return fields
}

// WriteJournal makes a journal file at path, whose name must end in ".journal",
// with these entries in this order, whatever their times. A file that exists is
// appended to. It is systemd-journal-remote(8) that does it.
func WriteJournal(path string, entries iter.Seq[Entry]) error {
	program, err := find("systemd-journal-remote", "systemd-journal-remote")
	if err != nil {
		return fmt.Errorf("forge journal: %w", err)
	}
	cmd := exec.Command(program, "--output="+path, "-")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("forge journal: %w", err)
	}
	wrote := export(in, entries)
	in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("forge journal: systemd-journal-remote: %w: %s", err, &out)
	}
	if wrote != nil {
		return fmt.Errorf("forge journal: %w", wrote)
	}
	return nil
}

// export writes the Journal Export Format
// (https://systemd.io/JOURNAL_EXPORT_FORMATS/).
func export(to io.Writer, entries iter.Seq[Entry]) error {
	w := bufio.NewWriterSize(to, 1<<20)
	var b bytes.Buffer
	for e := range entries {
		b.Reset()
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n",
			e.Time.UnixMicro(), e.Monotonic.Microseconds(), e.Boot)
		for _, f := range e.Fields {
			writeField(&b, f)
		}
		b.WriteByte('\n')
		if _, err := w.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return w.Flush()
}
