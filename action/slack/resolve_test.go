package slack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// TestHalfway: after some of its errors Slack has the message nevertheless.
func TestHalfway(t *testing.T) {
	for _, fault := range []slacktest.Fault{
		slacktest.Error("internal_error"), slacktest.Error("fatal_error"), slacktest.Error("service_unavailable"),
		slacktest.Status(504, ""), slacktest.Status(408, ""), slacktest.Status(200, "<html>"),
	} {
		r := newRig(t, slack.Config{})
		r.slack.EveryNth(1, fault)
		if err := r.try(one); err == nil || action.IsPermanent(err) {
			t.Errorf("%v", err)
		}
		r.slack.EveryNth(0, slacktest.OK)
		r.deliver(one)
		r.has("one")
	}
}

// TestCountedOnce: with several calls at once, a crash may leave a message counted in its thread, and itself
// in doubt.
func TestCountedOnce(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	for _, m := range []action.Message{one, two} {
		r.deliver(m)
	}
	left := r.memory.Crash()
	for _, m := range []action.Message{one, two} {
		var s map[string]any
		if err := json.Unmarshal(left["sending/"+m.ID], &s); err != nil {
			t.Fatal(err)
		}
		s["begun"] = time.Now().Add(-10 * time.Second)
		delete(s, "ts")
		delete(s, "done")
		left["sending/"+m.ID], _ = json.Marshal(s)
	}
	r.start(left)
	for _, m := range []action.Message{one, two, three} {
		r.deliver(m)
	}
	r.has("one ×3", "- two", "- three")
}

// TestOlderBeginning: a message that was lost while the history could not be read has begun the thread, too;
// later ones go on below the one that did after it.
func TestOlderBeginning(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey, Channel: slacktest.ChannelID("#growth")})
	r.slack.Scopes = "chat:write"
	r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
	if err := r.try(one); err == nil {
		t.Fatal("delivered, in spite of it")
	}
	err := r.try(two)
	for deadline := time.Now().Add(10 * time.Second); err != nil; err = r.try(two) {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	r.slack.Scopes = slacktest.Scopes
	r.crash()
	r.deliver(one)
	r.deliver(three)
	r.has("one", "two ×2", "- three")
}

// TestReplyWithoutMessage: a Slack that does not show what was posted has put a reply where it was to go.
func TestReplyWithoutMessage(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	r.deliver(one)
	ts := fmt.Sprintf("%.6f", float64(time.Now().UnixMicro())/1e6)
	r.slack.ScriptFor("chat.postMessage", slacktest.Status(200, fmt.Sprintf(`{"ok":true,"channel":%q,"ts":%q}`, slacktest.ChannelID("#growth"), ts)))
	r.deliver(two)
	r.deliver(three)
	r.has("one ×3", "- three")
}

// TestKnownLater: a channel whose id is not in the list cannot be looked up, until a post has told the id.
func TestKnownLater(t *testing.T) {
	r := newRig(t, slack.Config{})
	r.slack.Scopes = "chat:write,channels:history"
	for _, m := range []action.Message{one, two} {
		r.slack.ScriptFor("chat.postMessage", slacktest.DropReply())
		r.deliver(m)
	}
	r.has("one", "one", "two")
}

// TestMemoryIsBroken: what cannot be read is as good as forgotten.
func TestMemoryIsBroken(t *testing.T) {
	r := newRig(t, slack.Config{Thread: byKey})
	r.deliver(one)
	left := r.memory.Crash()
	for key := range left {
		left[key] = bytes.Repeat([]byte("{"), 10)
	}
	delete(left, "channel/#growth")
	r.start(left)
	r.deliver(two)
	r.has("one", "two")
}
