package journal

import (
	"strconv"
	"strings"
	"time"
)

// CursorTime is when the entry at a position was logged, for people to see; zero
// for Head, and where the cursor does not tell. It reads the t= of the cursor,
// which sd_journal_get_cursor(3) wants to be opaque: nothing may depend on it.
func CursorTime(position string) time.Time {
	for item := range strings.SplitSeq(position, ";") {
		if digits, ok := strings.CutPrefix(item, "t="); ok {
			if t, err := strconv.ParseInt(digits, 16, 64); err == nil {
				return time.UnixMicro(t)
			}
		}
	}
	return time.Time{}
}

// ShortCursor is as much of a cursor as journalctl --cursor= needs to find the entry: the
// sequence number and what numbers it, and the time for where that journal is gone
// (sd_journal_seek_cursor in systemd's sd-journal.c), some 65 characters of 130. A
// cursor that is not of this form is returned as it is.
func ShortCursor(cursor string) string {
	var kept []string
	for item := range strings.SplitSeq(cursor, ";") {
		switch name, _, _ := strings.Cut(item, "="); name {
		case "s", "i", "t":
			kept = append(kept, item)
		}
	}
	if len(kept) != 3 {
		return cursor
	}
	return strings.Join(kept, ";")
}
