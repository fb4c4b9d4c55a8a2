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
