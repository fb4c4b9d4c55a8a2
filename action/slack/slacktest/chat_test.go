package slacktest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const event = `{"event_type":"journald_router","event_payload":{"id":"42"}}`

func TestPostMessage(t *testing.T) {
	growth := slacktest.ChannelID("#growth")
	tests := []struct {
		name        string
		args        args
		want        string // the error
		wantChannel string
	}{
		{"by name", args{"channel": "#growth", "text": "x"}, "", "#growth"},
		{"by name without #", args{"channel": "growth", "text": "x"}, "", "#growth"},
		{"by id", args{"channel": growth, "text": "x"}, "", "#growth"},
		{"a channel that was told by its id", args{"channel": "C024BE91L", "text": "x"}, "", "C024BE91L"},
		{"unknown channel", args{"channel": "#other", "text": "x"}, "channel_not_found", ""},
		{"unknown id", args{"channel": "C024BE91M", "text": "x"}, "channel_not_found", ""},
		{"no channel", args{"text": "x"}, "channel_not_found", ""},
		{"private, and not in it", args{"channel": "#secret", "text": "x"}, "channel_not_found", ""},
		{"not in it", args{"channel": "#left", "text": "x"}, "not_in_channel", ""},
		{"archived", args{"channel": "#old", "text": "x"}, "is_archived", ""},
		{"no text", args{"channel": "#growth"}, "no_text", ""},
		{"blank text", args{"channel": "#growth", "text": " \n"}, "no_text", ""},
		{"bad thread_ts", args{"channel": "#growth", "text": "x", "thread_ts": "0"}, "invalid_thread_ts", ""},
	}
	for _, tt := range tests {
		s := serve(t)
		s.Channels = []string{"#growth", "C024BE91L", "#secret", "#left", "#old"}
		s.Private("#secret", true)
		s.Member("#secret", false)
		s.Member("#left", false)
		s.Archive("#old", true)
		r := call(t, s, "chat.postMessage", tt.args)
		messages := s.Messages()
		if r.Error != tt.want || len(messages) == 1 != (tt.want == "") {
			t.Errorf("%s: %q, %d accepted", tt.name, r.Error, len(messages))
		} else if tt.want == "" && (messages[0].Channel != tt.wantChannel || r.TS != messages[0].TS || r.Message.TS != r.TS ||
			tt.wantChannel == "#growth" && r.Channel != growth) {
			t.Errorf("%s: %+v, accepted %+v", tt.name, r, messages[0])
		}
	}
	s := serve(t)
	s.Scopes += ",chat:write.public"
	s.Member("#left", false)
	if r := call(t, s, "chat.postMessage", args{"channel": "#left", "text": "x"}); !r.OK {
		t.Errorf("chat:write.public: %+v", r)
	}
}

// Threads, and what becomes of a reply to what is not there, or no longer.
func TestThreads(t *testing.T) {
	s := serve(t)
	growth := slacktest.ChannelID("#growth")
	root := post(t, s, "root", "")
	reply := post(t, s, "reply", root)
	post(t, s, "reply to the reply", reply)
	other := post(t, s, "alone", "")
	gone := post(t, s, "gone", "")
	if !s.Delete(gone) || s.Delete(gone) || s.Delete("1.000000") {
		t.Error("Delete")
	}
	// Slack does not refuse these: it shows them in the channel.
	lost := post(t, s, "reply to what is gone", gone)
	post(t, s, "reply to what never was", "1700000000.000000")
	elsewhere := call(t, s, "chat.postMessage", args{"channel": "#other", "text": "reply in another channel", "thread_ts": root})
	if elsewhere.Message.ThreadTS != "" {
		t.Errorf("%+v", elsewhere)
	}
	// A thread with replies outlives its root.
	s.Delete(root)
	late := call(t, s, "chat.postMessage", args{"channel": growth, "text": "late reply", "thread_ts": root})
	if late.Message.ThreadTS != root {
		t.Errorf("%+v", late)
	}
	s.Delete(reply)
	if r := call(t, s, "chat.postMessage", args{"channel": growth, "text": "in the channel", "thread_ts": reply}); r.Message.ThreadTS != "" {
		t.Errorf("reply to a deleted reply: %+v", r)
	}

	var got []string
	for _, thread := range s.Threads() {
		says := thread.Root.Says()
		if thread.Root.Deleted {
			says = "(deleted)"
		}
		for _, r := range thread.Replies {
			says += " > " + r.Says()
		}
		got = append(got, says)
	}
	want := []string{
		"(deleted) > reply to the reply > late reply", "alone", "reply to what is gone", "reply to what never was",
		"reply in another channel", "in the channel",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if other <= root || lost <= other {
		t.Errorf("timestamps do not rise: %s %s %s", root, other, lost)
	}
	if n := len(s.Messages()); n != 10 {
		t.Errorf("%d accepted: a deleted message is still one that was", n)
	}
}

func TestUpdate(t *testing.T) {
	growth := slacktest.ChannelID("#growth")
	const blocks = `[{"type":"section","text":{"type":"mrkdwn","text":"section"}}]`
	tests := []struct {
		name string
		args args // beside channel and ts
		want string
		says string
		id   string
	}{
		{"text; all else stays", args{"text": "new"}, "", "new", "42"},
		{"attachments go", args{"text": "new", "attachments": "[]"}, "", "new", "42"},
		{"blocks only", args{"blocks": blocks}, "", "section", "42"},
		{"metadata", args{"text": "new", "metadata": strings.Replace(event, "42", "43", 1)}, "", "new", "43"},
		{"metadata goes", args{"text": "new", "metadata": "{}"}, "", "new", ""},
		{"at the limit", args{"text": strings.Repeat("é", 4000)}, "", strings.Repeat("é", 4000), "42"},
		{"over the limit", args{"text": strings.Repeat("é", 4001)}, "msg_too_long", "old", "42"},
		{"no text", args{}, "no_text", "old", "42"},
		{"bad blocks", args{"blocks": "[{}]"}, "invalid_blocks", "old", "42"},
		{"bad attachments", args{"attachments": `[{"color":"red","text":"x"}]`}, "invalid_attachments", "old", "42"},
		{"bad metadata", args{"text": "x", "metadata": `{"a":1}`}, "invalid_metadata_format", "old", "42"},
		{"by name", args{"text": "x", "channel": "#growth"}, "channel_not_found", "old", "42"},
		{"other channel", args{"text": "x", "channel": slacktest.ChannelID("#other")}, "message_not_found", "old", "42"},
		{"no such message", args{"text": "x", "ts": "1700000000.000000"}, "message_not_found", "old", "42"},
	}
	for _, tt := range tests {
		s := serve(t)
		ts := call(t, s, "chat.postMessage", args{
			"channel": "#growth", "text": "old", "metadata": event, "attachments": `[{"text":"attached"}]`,
		}).TS
		a := args{"channel": growth, "ts": ts}
		for name, value := range tt.args {
			a[name] = value
		}
		r := call(t, s, "chat.update", a)
		m := s.Messages()[0]
		edited := 0
		if tt.want == "" {
			edited = 1
		}
		attached := 1
		if tt.args["attachments"] == "[]" {
			attached = 0
		}
		if r.Error != tt.want || m.Says() != tt.says || m.ID != tt.id || m.Edited != edited || m.TS != ts || len(m.Attachments) != attached {
			t.Errorf("%s: %q; %+v", tt.name, r.Error, m)
		}
	}
}

// Whose messages, and in which state, may not be updated.
func TestUpdateNot(t *testing.T) {
	s := serve(t)
	growth, webhook := slacktest.ChannelID("#growth"), slacktest.ChannelID(slacktest.WebhookChannel)
	send(t, s.WebhookURL(), jsonType, "", `{"text":"hello"}`)
	hooked := s.Messages()[0].TS
	said := s.Say("#growth", "how are you?", "")
	gone := post(t, s, "gone", "")
	s.Delete(gone)
	old := call(t, s, "chat.postMessage", args{"channel": "#old", "text": "x"}).TS
	s.Archive("#old", true)
	for _, tt := range []struct{ name, channel, ts, want string }{
		{"the webhook's", webhook, hooked, "cant_update_message"},
		{"a person's", growth, said, "cant_update_message"},
		{"deleted", growth, gone, "message_not_found"},
		{"archived", slacktest.ChannelID("#old"), old, "is_inactive"},
	} {
		if r := call(t, s, "chat.update", args{"channel": tt.channel, "ts": tt.ts, "text": "x"}); r.Error != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, r.Error, tt.want)
		}
	}
}

func TestSaysAndIDs(t *testing.T) {
	s := serve(t)
	call(t, s, "chat.postMessage", args{
		"channel":  "#growth",
		"metadata": `{"event_type":"journald_router","event_payload":{"ids":["1","2"],"part":2}}`,
		"blocks":   `[{"type":"section","text":{"type":"mrkdwn","text":"one"},"fields":[{"type":"plain_text","text":"two"}]}]`,
		"attachments": `[{"fallback":"no","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"three"}},
			{"type":"context","elements":[{"type":"mrkdwn","text":"no"}]}]}]`,
	})
	m := s.Messages()[0]
	if m.Says() != "one\ntwo\nthree" || !cmp.Equal(m.IDs(), []string{"1", "2"}) || m.ID != "" || m.EventType != "journald_router" {
		t.Errorf("says %q, ids %v; %+v", m.Says(), m.IDs(), m)
	}
	if m.Metadata["part"] != 2.0 || m.Attachments[0]["fallback"] != "no" || m.Blocks[0]["type"] != "section" {
		t.Errorf("%+v", m)
	}
}
