package slack_test

import (
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

// TestPartsByWrongClock: a part whose reply was lost is found, though the message was begun in 1970.
func TestPartsByWrongClock(t *testing.T) {
	r := newRig(t, slack.Config{Channel: slacktest.ChannelID("#growth")})
	slack.SetClock(r.action, func() time.Time { return time.Now().Add(time.Until(time.Unix(10, 0))) })
	r.slack.ScriptFor("chat.postMessage", slacktest.OK, slacktest.DropReply())
	r.deliver(long)
	r.has(begun, "- "+begun, "- "+begun)
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
