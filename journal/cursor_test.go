package journal_test

import (
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
)

func TestCursorTime(t *testing.T) {
	const cursor = "s=57a306b31b084faba483926057da2665;i=16;b=8fc9eaf3491548e3a95e8005f449b1e1;m=7dd08009;t=660fd5fadda06;x=83935c4a1da687b1"
	if got, want := journal.CursorTime(cursor), time.UnixMicro(1795491208485382); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, position := range []string{"", journal.Head, "17", "t=", "t=x", "s=1;t=fffffffffffffffffff"} {
		if got := journal.CursorTime(position); !got.IsZero() {
			t.Errorf("%q: got %v, want none", position, got)
		}
	}
}
