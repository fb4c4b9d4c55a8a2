package slacktest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func TestListChannels(t *testing.T) {
	s := serve(t)
	s.Channels = []string{"#a", "#b", "#c", "#old", "#secret", "#hidden"}
	s.Archive("#old", true)
	s.Private("#secret", true)
	s.Private("#hidden", true)
	s.Member("#hidden", false)
	for _, tt := range []struct {
		name string
		args args
		want []string // pages
	}{
		{"public", args{}, []string{"a b c old"}},
		{"not archived", args{"exclude_archived": "true"}, []string{"a b c"}},
		{"private", args{"types": "private_channel"}, []string{"secret"}},
		{"both", args{"types": "public_channel, private_channel", "exclude_archived": "1"}, []string{"a b c secret"}},
		{"pages", args{"limit": "2"}, []string{"a b", "c old"}},
		{"the last page has one", args{"limit": "3"}, []string{"a b c", "old"}},
	} {
		var got []string
		for {
			r := call(t, s, "conversations.list", tt.args)
			if !r.OK {
				t.Fatalf("%s: %+v", tt.name, r)
			}
			var names []string
			for _, c := range r.Channels {
				names = append(names, c.Name)
				if c.ID != slacktest.ChannelID("#"+c.Name) {
					t.Errorf("%s: %+v", tt.name, c)
				}
			}
			got = append(got, strings.Join(names, " "))
			if tt.args["cursor"] = r.Metadata.NextCursor; r.Metadata.NextCursor == "" {
				break
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	for _, tt := range []struct {
		args args
		want string
	}{
		{args{"limit": "999"}, ""},
		{args{"limit": "1000"}, "invalid_limit"},
		{args{"limit": "few"}, "invalid_limit"},
		{args{"types": "public"}, "invalid_types"},
		{args{"cursor": "nope"}, "invalid_cursor"},
	} {
		if r := call(t, s, "conversations.list", tt.args); r.Error != tt.want {
			t.Errorf("%v: %q, not %q", tt.args, r.Error, tt.want)
		}
	}
	if r := call(t, s, "conversations.info", args{"channel": slacktest.ChannelID("#a")}); !r.OK {
		t.Errorf("%+v", r)
	}
	for _, channel := range []string{"#a", "a", "", slacktest.ChannelID("#other"), slacktest.ChannelID("#hidden")} {
		if r := call(t, s, "conversations.info", args{"channel": channel}); r.Error != "channel_not_found" {
			t.Errorf("info of %q: %q", channel, r.Error)
		}
	}
}

// Two Slacks are two workspaces.
func TestWorkspaces(t *testing.T) {
	a, b := serve(t), serve(t)
	b.Token = "xoxb-other"
	post(t, a, "hello", "")
	if r := call(t, b, "chat.postMessage", args{"channel": "#growth", "text": "x"}); r.Error != "invalid_auth" {
		t.Errorf("%+v", r)
	}
	if len(a.Messages()) != 1 || len(b.Messages()) != 0 {
		t.Errorf("%d and %d accepted", len(a.Messages()), len(b.Messages()))
	}
}
