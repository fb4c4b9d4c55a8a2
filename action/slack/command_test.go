package slack

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/journaltest/stored"
)

// TestCommand runs the command of each message in a shell, as somebody who has copied it: it
// shows the entry, and no other.
func TestCommand(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	const entries = 5
	for i := range entries {
		j.Print(fmt.Sprint("the same line, but for ", i))
	}
	found := 0
	for _, record := range stored.In(t, j.Journald) {
		message := first(record, journal.FieldMessage)
		if !strings.HasPrefix(message, "the same line") {
			continue
		}
		found++
		p, _, _ := bot("", "").compose([]action.Message{{Text: message, Record: record}})
		all := notes(p)
		command := strings.Trim(all[len(all)-1], "`")
		if !strings.HasPrefix(command, "journalctl --namespace="+j.Namespace()+" --cursor='") || !strings.HasSuffix(command, " -n 1 -o verbose") || len(command) > 160 {
			t.Fatalf("%d characters: %s", len(command), command)
		}
		// As JSON, to compare; all the rest is as the command has it.
		out, err := exec.Command("sh", "-c", strings.TrimSuffix(command, "verbose")+"json").Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var shown struct {
			Cursor  string `json:"__CURSOR"`
			Message string `json:"MESSAGE"`
		}
		if err := json.Unmarshal(out, &shown); err != nil {
			t.Fatalf("%s: %v in %s", command, err, out)
		}
		if shown.Cursor != record.Cursor() || shown.Message != message {
			t.Errorf("%s shows %s, want that of %s", command, out, message)
		}
		verbose, err := exec.Command("sh", "-c", command).Output()
		if err != nil || strings.Count(string(verbose), "\n    MESSAGE=") != 1 || !strings.Contains(string(verbose), "\n    MESSAGE="+message+"\n") {
			t.Errorf("%s: %v\n%s", command, err, verbose)
		}
	}
	if found != entries {
		t.Errorf("%d of %d entries", found, entries)
	}
}
