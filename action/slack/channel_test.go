package slack_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

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
