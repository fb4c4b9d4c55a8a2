package slack_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// TestChannels: a template chooses among those that are allowed.
func TestChannels(t *testing.T) {
	ops := slacktest.ChannelID("#ops")
	r := newRig(t, slack.Config{Channel: " {{ .Fields.KEY }}", Channels: []string{"#growth", ops}, Thread: "x"})
	r.deliver(logged(1, "#growth", "one"))
	r.deliver(logged(2, ops, "two"))
	r.deliver(logged(3, "#growth", "three"))
	r.has("one ×2", "- three", "two")
	for i, want := range []string{"#growth", "#ops", "#growth"} {
		if got := r.slack.Messages()[i].Channel; got != want {
			t.Errorf("message %d is in %s, want %s", i, got, want)
		}
	}
	if n := r.action.Fit([]action.Message{logged(1, "#growth", ""), logged(2, "#growth", ""), logged(3, ops, "")}); n != 2 {
		t.Errorf("%d go together, want 2", n)
	}
	for key, shown := range map[string]string{
		"":                       `""`,
		"#ops":                   `"#ops"`,
		"#GROWTH":                `"#GROWTH"`,
		"#growth\x1b[31m":        `"#growth [31m"`,
		strings.Repeat("x", 500): `"` + strings.Repeat("x", 80) + `…"`,
	} {
		requests := r.slack.Requests()
		err := r.try(logged(9, key, "no"))
		want := "post to Slack: the channel " + shown + " is none of channels (add it there, or mend the template)"
		if !action.IsPermanent(err) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if r.slack.Requests() != requests {
			t.Error("something was sent to Slack")
		}
	}
}

// TestTemplateFails: an entry of which a template makes nothing is a dead letter.
func TestTemplateFails(t *testing.T) {
	r := newRig(t, slack.Config{Channel: "{{ slice .Text 0 9 }}", Channels: []string{"#growth"}})
	if err := r.try(one); !action.IsPermanent(err) || !strings.HasPrefix(err.Error(), "post to Slack: channel: ") {
		t.Errorf("%v", err)
	}
	r = newRig(t, slack.Config{Thread: "{{ slice .Text 0 9 }}"})
	if err := r.try(one); !action.IsPermanent(err) || !strings.HasPrefix(err.Error(), "post to #growth: thread: ") {
		t.Errorf("%v", err)
	}
}

// TestChannelID: the id that the history is asked by is the one of the last post, or looked for in the
// list, of whichever kinds of channels the token may list.
func TestChannelID(t *testing.T) {
	lose := func(r *rig, m action.Message) {
		t.Helper()
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		r.deliver(m)
	}
	t.Run("of a post", func(t *testing.T) {
		r := newRig(t, slack.Config{})
		r.deliver(one)
		r.crash()
		lose(r, two)
		if n := r.slack.RequestsTo("conversations.list"); n != 0 {
			t.Errorf("listed %d times", n)
		}
		r.has("one", "two")
	})
	for scopes, there := range map[string]bool{
		"chat:write,channels:history,channels:read,groups:read": true,
		"chat:write,channels:history,channels:read":             true,
		"chat:write,channels:history,groups:read":               false,
		"chat:write,channels:history":                           false,
	} {
		t.Run(scopes, func(t *testing.T) {
			r := newRig(t, slack.Config{})
			r.slack.Scopes = scopes
			for i := range 1500 { // more than one page
				r.slack.Channels = append([]string{fmt.Sprint("#other-", i)}, r.slack.Channels...)
			}
			lose(r, one)
			if there {
				r.has("one")
			} else {
				r.has("one", "one")
			}
			lose(r, two) // by now it is known
			if n := len(r.slack.Messages()); (n == 2) != there {
				t.Errorf("%d messages", n)
			}
		})
	}
	t.Run("private", func(t *testing.T) {
		r := newRig(t, slack.Config{})
		r.slack.Private("#growth", true)
		r.slack.Scopes = "chat:write,groups:history,groups:read"
		lose(r, one)
		r.has("one")
	})
}

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

// TestOtherWorkspace: ids and threads that are remembered of a workspace are of no use in another, whose token
// the action has now.
func TestOtherWorkspace(t *testing.T) {
	for _, thread := range []string{"", byKey} {
		r := newRig(t, slack.Config{Thread: thread})
		r.deliver(one)
		remembered := r.memory.Crash()
		for key, value := range remembered {
			remembered[key] = bytes.ReplaceAll(value, []byte(slacktest.ChannelID("#growth")), []byte("COTHER123"))
		}
		r.start(remembered)
		if thread != "" {
			r.slack.ScriptFor("chat.postMessage", slacktest.DropReply(), slacktest.OK) // are refused, as there is no such channel
		}
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		r.deliver(two)
		r.deliver(three)
		if thread == "" {
			r.has("one", "two", "three")
		} else {
			r.has("one", "two ×2", "- three")
		}
	}
}

// TestClockIsSet: the machine's clock is set, by hours, while the router runs, as when it is the first time
// that NTP has an answer; or the machine has slept. What was sent just then is found nevertheless.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		for _, when := range []string{"before the post", "after it", "after it, and the router is started again"} {
			t.Run(fmt.Sprint(by, " ", when), func(t *testing.T) {
				r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
				set := func() time.Time { return time.Now().Add(by) }
				r.deliver(one)
				if when == "before the post" {
					slack.SetClock(r.action, set)
				}
				r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
				if err := r.try(two); err == nil {
					t.Fatal("delivered, in spite of it")
				}
				if strings.Contains(when, "again") {
					r.crash()
				}
				slack.SetClock(r.action, set)
				r.deliver(two)
				r.has("one", "two")
			})
		}
	}
}

// TestBatchByWrongClock: the messages of a post whose reply was lost come again one by one, where the clock has begun
// in 1970: what was found with the first of them is not forgotten as too old.
func TestBatchByWrongClock(t *testing.T) {
	epoch := time.Until(time.Unix(10, 0))
	for name, later := range map[string]time.Duration{"still": epoch, "set meanwhile": 0} {
		r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
		slack.SetClock(r.action, func() time.Time { return time.Now().Add(epoch) })
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		if err := r.try(one, two, three); err == nil {
			t.Fatal("delivered, in spite of it")
		}
		r.deliver(one)
		r.start(r.memory.Crash())
		slack.SetClock(r.action, func() time.Time { return time.Now().Add(later) })
		r.deliver(logged(7, "", "another")) // with it, what is too old is forgotten
		r.deliver(two)
		r.deliver(three)
		if once, _ := posts(r.slack.Messages()); once[two.ID] != 1 || once[three.ID] != 1 {
			t.Errorf("%s: %v", name, once)
		}
	}
}

// TestDoubtsByWrongClock: of several calls that a kill has cut off, the first that comes again does not have the
// others, and the threads that they begin, forgotten as too old.
func TestDoubtsByWrongClock(t *testing.T) {
	r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth"), Thread: byKey})
	two := logged(2, "b", "two")
	epoch := func() time.Time { return time.Now().Add(time.Until(time.Unix(10, 0))) }
	slack.SetClock(r.action, epoch)
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply(), slacktest.DropReply())
	for _, m := range []action.Message{one, two} {
		if err := r.try(m); err == nil {
			t.Fatal("delivered, in spite of it")
		}
	}
	r.crash()
	slack.SetClock(r.action, epoch)
	r.deliver(one)
	r.deliver(two)
	r.deliver(logged(3, "b", "three"))
	r.has("one", "two ×2", "- three")
}

// TestWrongClock: the machine's clock is wrong by a year, and the times of a look-up are Slack's; nor
// is anything forgotten.
func TestWrongClock(t *testing.T) {
	for _, wrong := range []time.Duration{-9000 * time.Hour, 9000 * time.Hour, time.Until(time.Unix(10, 0)), 0} {
		for _, first := range []bool{false, true} { // the process has heard nothing of Slack yet
			for _, dies := range []bool{false, true} {
				r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth"), Thread: "x"})
				ahead := func() time.Time { return time.Now().Add(wrong) }
				slack.SetClock(r.action, ahead)
				if !first {
					r.deliver(one)
				}
				r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
				if err := r.action.Deliver(t.Context(), []action.Message{two}); err == nil {
					t.Fatal("delivered, in spite of it")
				}
				if dies {
					r.crash()
					slack.SetClock(r.action, ahead)
				}
				r.deliver(two)
				r.crash()
				slack.SetClock(r.action, ahead)
				r.deliver(three)
				once, _ := posts(r.slack.Messages())
				if threads := r.slack.Threads(); once[two.ID] != 1 || len(threads) != 1 {
					t.Errorf("clock wrong by %v, first: %v, dies: %v: the message is there %d times, in %d threads", wrong, first, dies, once[two.ID], len(threads))
				}
			}
		}
	}
}

// TestNoDate: behind a proxy that takes the Date away, what has ended is forgotten all the same, and a lost reply
// is looked up by the machine's clock.
func TestNoDate(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header()["Date"] = nil
		r.slack.ServeHTTP(w, req)
	}))
	defer proxy.Close()
	r.config.APIURL = proxy.URL + slacktest.APIPath
	r.start(nil)
	r.deliver(one)
	slack.Age(r.action, time.Hour)
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
	r.deliver(two)
	r.has("one ×2", "- two")
	if keys := r.memory.Keys("sending/"); !slices.Equal(keys, []string{"sending/" + two.ID}) {
		t.Errorf("remembered: %s", keys)
	}
}
