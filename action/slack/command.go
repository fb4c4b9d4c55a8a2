package slack

import (
	"regexp"

	"github.com/journald-router/journald-router/journal"
)

// Both patterns let nothing pass that means anything to a shell: whoever can write journal files
// can forge a cursor.
var (
	cursorPattern    = regexp.MustCompile(`^s=[0-9a-f]{32};i=[0-9a-f]{1,16};t=[0-9a-f]{1,16}$`)
	namespacePattern = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.:@-]{0,200}$`)
)

// finds is the command that shows exactly this entry, on the machine whose journal it is in, or
// empty.
func finds(r journal.Record) string {
	cursor := journal.ShortCursor(r.Cursor())
	if !cursorPattern.MatchString(cursor) {
		return ""
	}
	command := "journalctl"
	if namespace := first(r, "_NAMESPACE"); namespace != "" {
		if !namespacePattern.MatchString(namespace) {
			return ""
		}
		command += " --namespace=" + namespace
	}
	return command + " --cursor='" + cursor + "' -n 1 -o verbose"
}
