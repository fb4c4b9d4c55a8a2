package slack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// TestBusyHistory: other people's messages, and pages of them, are passed over.
func TestBusyHistory(t *testing.T) {
	r := newRig(t, slack.Config{Thread: "x"})
	r.deliver(one)
	root := r.slack.Messages()[0].TS
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
	if err := r.try(two); err == nil {
		t.Fatal("delivered, in spite of it")
	}
	for i := range 500 {
		r.slack.Say("#growth", fmt.Sprint("somebody ", i), []string{"", root}[i%2])
	}
	r.deliver(two)
	if n := len(r.slack.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
	if n := r.slack.RequestsTo("conversations.replies"); n != 2 {
		t.Errorf("%d pages, want 2", n)
	}
}

// TestSlowHistory: to an app whose history has a page now and then, and 429 for the next one, a look-up comes to its
// end nevertheless, and finds a message, and the parts of a long one, whatever page they are on.
func TestSlowHistory(t *testing.T) {
	for name, test := range map[string]struct {
		skip  int // posts whose replies are not lost
		lost  slacktest.Fault
		which string // is the history that is read
		dies  bool
	}{
		"there":                  {0, slacktest.DropReply(), "conversations.history", false},
		"not there":              {0, slacktest.Drop(), "conversations.history", false},
		"part there":             {1, slacktest.DropReply(), "conversations.replies", false},
		"part not there":         {1, slacktest.Drop(), "conversations.replies", false},
		"killed, part there":     {1, slacktest.DropReply(), "conversations.replies", true},
		"killed, part not there": {1, slacktest.Drop(), "conversations.replies", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth"), Thread: byKey})
			if strings.Contains(test.which, "replies") {
				r.deliver(one)
			}
			for range test.skip {
				r.slack.ScriptFor("chat.postMessage", slacktest.OK)
			}
			r.slack.ScriptFor("chat.postMessage", test.lost)
			if err := r.action.Deliver(t.Context(), []action.Message{long}); err == nil {
				t.Fatal("delivered, in spite of it")
			}
			if test.dies {
				r.crash()
			}
			root := ""
			if test.skip > 0 {
				root = r.slack.Messages()[0].TS
			}
			for i := range 500 {
				r.slack.Say("#growth", fmt.Sprint("somebody ", i), root)
			}
			for range 20 {
				r.slack.ScriptFor(test.which, slacktest.OK, slacktest.RateLimited(time.Second))
			}
			r.deliver(long)
			if once, parts := posts(r.slack.Messages()); once[long.ID] != 1 || !slices.Equal(parts[long.ID], []int{2, 3}) {
				t.Errorf("%v, parts %v", once, parts)
			}
		})
	}
}

// TestCursorTooOld: a look-up whose next page is not known any more begins anew.
func TestCursorTooOld(t *testing.T) {
	r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
	r.deliver(one)
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
	if err := r.try(two); err == nil {
		t.Fatal("delivered, in spite of it")
	}
	for i := range 300 {
		r.slack.Say("#growth", fmt.Sprint("somebody ", i), "")
	}
	r.slack.ScriptFor("conversations.history", slacktest.OK, slacktest.Error("invalid_cursor"))
	r.deliver(two)
	if n := len(r.slack.Messages()); n != 2 {
		t.Errorf("%d messages", n)
	}
	if n := r.slack.RequestsTo("conversations.history"); n != 4 {
		t.Errorf("%d pages, want 2 and, from the beginning, 2", n)
	}
}

// TestLookUpAnew: where the post that a look-up was for is refused for now, the next look-up is whole again.
func TestLookUpAnew(t *testing.T) {
	r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
	r.deliver(one)
	r.slack.ScriptFor("chat.postMessage", slacktest.Drop(), slacktest.RateLimited(time.Second))
	if err := r.try(two); err == nil {
		t.Fatal("delivered, in spite of it")
	}
	for i := range 300 {
		r.slack.Say("#growth", fmt.Sprint("somebody ", i), "")
	}
	r.deliver(two)
	if n := r.slack.RequestsTo("conversations.history"); n != 4 {
		t.Errorf("%d pages, want twice 2", n)
	}
}
