package slacktest_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

// texts are what the messages of a reply say, in its order.
func texts(r reply) []string {
	var all []string
	for _, m := range r.Messages {
		all = append(all, m.Text)
	}
	return all
}

// pages calls a method until there is no next cursor, and returns the texts page
// by page.
func pages(t *testing.T, s *slacktest.Server, method string, a args) []string {
	t.Helper()
	var all []string
	for {
		r := call(t, s, method, a)
		if !r.OK || r.HasMore != (r.Metadata.NextCursor != "") {
			t.Fatalf("%s %v: %+v", method, a, r)
		}
		all = append(all, strings.Join(texts(r), " "))
		if a["cursor"] = r.Metadata.NextCursor; a["cursor"] == "" {
			return all
		}
	}
}

func TestHistory(t *testing.T) {
	s := serve(t)
	growth := slacktest.ChannelID("#growth")
	var ts []string
	for i := range 5 {
		ts = append(ts, post(t, s, strconv.Itoa(i), ""))
	}
	post(t, s, "reply", ts[1])
	post(t, s, "reply", ts[3])
	call(t, s, "chat.postMessage", args{"channel": "#other", "text": "other channel"})
	s.Say("#growth", "person", "")
	s.Delete(ts[2]) // goes
	s.Delete(ts[3]) // has a reply, and becomes a tombstone

	const tomb = "This message was deleted."
	tests := []struct {
		name string
		args args
		want []string // pages
	}{
		{"all", args{}, []string{"person 4 " + tomb + " 1 0"}},
		{"pages", args{"limit": "2"}, []string{"person 4", tomb + " 1", "0"}},
		{"the last page is full", args{"limit": "5"}, []string{"person 4 " + tomb + " 1 0"}},
		{"oldest", args{"oldest": ts[1]}, []string{"person 4 " + tomb}},
		{"oldest and latest", args{"oldest": ts[0], "latest": ts[4]}, []string{tomb + " 1"}},
		{"inclusive", args{"oldest": ts[1], "latest": ts[4], "inclusive": "1"}, []string{"4 " + tomb + " 1"}},
		{"one message", args{"oldest": ts[1], "inclusive": "true", "latest": ts[1], "limit": "1"}, []string{"1"}},
		{"within a second, as a number of seconds", args{"oldest": ts[0][:10]}, []string{"person 4 " + tomb + " 1 0"}},
		{"pages of a part", args{"oldest": ts[0], "limit": "3"}, []string{"person 4 " + tomb, "1"}},
		{"after all", args{"oldest": "9999999999.000000"}, []string{""}},
	}
	for _, tt := range tests {
		tt.args["channel"] = growth
		if diff := cmp.Diff(tt.want, pages(t, s, "conversations.history", tt.args)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if n := len(s.Messages()); n != 8 {
		t.Errorf("%d accepted: a person's message is none", n)
	}
	r := call(t, s, "conversations.history", args{"channel": growth})
	if m := r.Messages[2]; m.Subtype != "tombstone" || m.ReplyCount != 1 || m.ThreadTS != ts[3] {
		t.Errorf("%+v", m)
	}
	if m := r.Messages[3]; m.Subtype != "bot_message" || m.ReplyCount != 1 || m.ThreadTS != ts[1] {
		t.Errorf("%+v", m)
	}
	if m := r.Messages[0]; m.User == "" || m.Subtype != "" || m.ThreadTS != "" {
		t.Errorf("%+v", m)
	}
}

// Timestamps differ, however fast messages come.
func TestTimestamps(t *testing.T) {
	s := serve(t)
	last := ""
	for range 10_000 {
		ts := s.Say("#growth", "x", "")
		if ts <= last {
			t.Fatalf("%s after %s", ts, last)
		}
		last = ts
	}
}

func TestReplies(t *testing.T) {
	s := serve(t)
	growth := slacktest.ChannelID("#growth")
	root := post(t, s, "root", "")
	a := post(t, s, "a", root)
	post(t, s, "alone", "")
	b := post(t, s, "b", root)
	s.Say("#growth", "c", root)
	s.Delete(b)
	for _, tt := range []struct {
		name string
		args args
		want []string
	}{
		{"all", args{"ts": root}, []string{"root a c"}},
		{"pages", args{"ts": root, "limit": "2"}, []string{"root a", "c"}},
		{"oldest", args{"ts": root, "oldest": a}, []string{"c"}},
		{"of a reply", args{"ts": a}, []string{"a"}},
	} {
		tt.args["channel"] = growth
		if diff := cmp.Diff(tt.want, pages(t, s, "conversations.replies", tt.args)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	r := call(t, s, "conversations.replies", args{"channel": growth, "ts": root})
	if r.Messages[0].ReplyCount != 2 || r.Messages[1].ThreadTS != root || r.Messages[1].ReplyCount != 0 {
		t.Errorf("%+v", r.Messages)
	}
}

// What reading refuses.
func TestHistoryErrors(t *testing.T) {
	s := serve(t)
	s.Channels = []string{"#growth", "#secret", "#left"}
	s.Private("#secret", true)
	s.Member("#secret", false)
	s.Member("#left", false)
	growth := slacktest.ChannelID("#growth")
	gone := post(t, s, "gone", "")
	s.Delete(gone)
	ts := post(t, s, "hello", "")
	for _, tt := range []struct {
		method string
		args   args
		want   string
	}{
		{"conversations.history", args{"channel": "#growth"}, "channel_not_found"},
		{"conversations.history", args{"channel": "growth"}, "channel_not_found"},
		{"conversations.history", args{}, "channel_not_found"},
		{"conversations.history", args{"channel": "C024BE91L"}, "channel_not_found"},
		{"conversations.history", args{"channel": slacktest.ChannelID("#secret")}, "channel_not_found"},
		{"conversations.history", args{"channel": slacktest.ChannelID("#left")}, "not_in_channel"},
		{"conversations.history", args{"channel": growth, "limit": "999"}, ""},
		{"conversations.history", args{"channel": growth, "limit": "1000"}, "invalid_arguments"},
		{"conversations.history", args{"channel": growth, "limit": "0"}, "invalid_arguments"},
		{"conversations.history", args{"channel": growth, "limit": "many"}, "invalid_arguments"},
		{"conversations.history", args{"channel": growth, "oldest": "yesterday"}, "invalid_ts_oldest"},
		{"conversations.history", args{"channel": growth, "oldest": "1.2.3"}, "invalid_ts_oldest"},
		{"conversations.history", args{"channel": growth, "latest": "-1"}, "invalid_ts_latest"},
		{"conversations.history", args{"channel": growth, "cursor": "nope"}, "invalid_cursor"},
		{"conversations.replies", args{"channel": "#growth", "ts": ts}, "channel_not_found"},
		{"conversations.replies", args{"channel": slacktest.ChannelID("#left"), "ts": ts}, "not_in_channel"},
		{"conversations.replies", args{"channel": growth, "ts": ts, "limit": "1000"}, ""},
		{"conversations.replies", args{"channel": growth, "ts": ts, "limit": "1001"}, "invalid_arguments"},
		{"conversations.replies", args{"channel": growth, "ts": ts, "cursor": "nope"}, "invalid_cursor"},
		{"conversations.replies", args{"channel": growth}, "thread_not_found"},
		{"conversations.replies", args{"channel": growth, "ts": "1700000000.000000"}, "thread_not_found"},
		{"conversations.replies", args{"channel": growth, "ts": gone}, "thread_not_found"},
	} {
		if r := call(t, s, tt.method, tt.args); r.Error != tt.want {
			t.Errorf("%s %v: %q, not %q", tt.method, tt.args, r.Error, tt.want)
		}
	}
}

// Metadata is shown whole to who asks for it only.
func TestMetadataInHistory(t *testing.T) {
	s := serve(t)
	growth := slacktest.ChannelID("#growth")
	ts := call(t, s, "chat.postMessage", args{"channel": "#growth", "text": "x", "metadata": event, "attachments": `[{"text":"y"}]`}).TS
	for _, method := range []string{"conversations.history", "conversations.replies"} {
		bare := call(t, s, method, args{"channel": growth, "ts": ts}).Messages[0]
		whole := call(t, s, method, args{"channel": growth, "ts": ts, "include_all_metadata": "1"}).Messages[0]
		if bare.Metadata.Type != "journald_router" || bare.Metadata.Payload != nil || whole.Metadata.Payload["id"] != "42" {
			t.Errorf("%s: %+v, %+v", method, bare.Metadata, whole.Metadata)
		}
		want := []map[string]any{{"text": "y", "id": 1.0, "fallback": "[no preview available]"}}
		if diff := cmp.Diff(want, whole.Attachments, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", method, diff)
		}
	}
}
