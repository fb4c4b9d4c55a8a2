package slacktest_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func TestMrkdwn(t *testing.T) {
	type link = slacktest.Link
	tests := []struct {
		text   string
		pages  []string
		links  []link
		broken []string
	}{
		{text: "plain words, 1 &lt; 2 &amp;&amp; 3 &gt; 2, @channel"},
		{text: "a > b"},
		{text: "<!channel> <!here|here> <!everyone>", pages: []string{"!channel", "!here", "!everyone"}},
		{text: "<!group> <!subteam^S012|ops> <@U024BE7LH> <@W1|joe>", pages: []string{"!channel", "!subteam^S012", "@U024BE7LH", "@W1"}},
		{text: "<#C024BE91L|growth> <#C1>", links: []link{{"#C024BE91L", "growth"}, {"#C1", ""}}},
		{text: "see <https://x.example/a?b=1&amp;c=2|the &lt;docs&gt;>.", links: []link{{"https://x.example/a?b=1&c=2", "the <docs>"}}},
		{text: "<http://x.example> <mailto:a@x.example|a>", links: []link{{"http://x.example", ""}, {"mailto:a@x.example", "a"}}},
		{text: "<!date^1392734382^{date}|Feb 18>"},
		{text: "&lt;!channel&gt;"},
		{text: "cut: <https://x.example/very/lo", broken: []string{"<https://x.example/very/lo"}},
		{text: "a < b", broken: []string{"< b"}},
		{text: "<https://x.exa… <https://y.example|y> <!here>", broken: []string{"<https://x.exa… "},
			links: []link{{"https://y.example", "y"}}, pages: []string{"!here"}},
		{text: "<> <|x> <javascript:alert> <!shrug> <https://a b>", broken: []string{"<>", "<|x>", "<javascript:alert>", "<!shrug>", "<https://a b>"}},
		{text: "<<!channel>", broken: []string{"<"}, pages: []string{"!channel"}},
	}
	for _, tt := range tests {
		m := slacktest.Message{Text: tt.text}
		for _, diff := range []string{
			cmp.Diff(tt.pages, m.Pages(), cmpopts.EquateEmpty()),
			cmp.Diff(tt.links, m.Links(), cmpopts.EquateEmpty()),
			cmp.Diff(tt.broken, m.Broken(), cmpopts.EquateEmpty()),
		} {
			if diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.text, diff)
			}
		}
	}
}

// Wherever mark-up stands in a message, it is found, and nowhere else.
func TestMarkupOfMessage(t *testing.T) {
	tests := []struct {
		name   string
		blocks string
		pages  []string
		links  int
	}{
		{"section", `[{"type":"section","text":{"type":"mrkdwn","text":"<!here> <https://x.example>"}}]`, []string{"!here"}, 1},
		{"fields", `[{"type":"section","fields":[{"type":"mrkdwn","text":"<@U1>"}]}]`, []string{"@U1"}, 0},
		{"context", `[{"type":"context","elements":[{"type":"mrkdwn","text":"<@U1>"}]}]`, []string{"@U1"}, 0},
		{"plain text", `[{"type":"section","text":{"type":"plain_text","text":"<!here> @here"}}]`, nil, 0},
		{"a plain word", `[{"type":"section","text":{"type":"mrkdwn","text":"@channel, ask me@here.example and @everyone"}}]`, []string{"@channel", "@everyone"}, 0},
		{"a plain word, verbatim", `[{"type":"section","text":{"type":"mrkdwn","text":"@channel","verbatim":true}}]`, nil, 0},
		{"mark-up, verbatim", `[{"type":"section","text":{"type":"mrkdwn","text":"<!channel>","verbatim":true}}]`, []string{"!channel"}, 0},
		{"markdown", `[{"type":"markdown","text":"<!channel>"}]`, []string{"!channel"}, 0},
		{"rich text", `[{"type":"rich_text","elements":[{"type":"rich_text_section","elements":[{"type":"broadcast","range":"here"},
			{"type":"user","user_id":"U1"},{"type":"usergroup","usergroup_id":"S1"},{"type":"link","url":"https://x.example"},
			{"type":"text","text":"<!channel>"}]}]}]`, []string{"!here", "@U1", "!subteam^S1"}, 1},
	}
	for _, tt := range tests {
		var blocks []map[string]any
		var list []any
		for _, err := range []error{json.Unmarshal([]byte(tt.blocks), &blocks), json.Unmarshal([]byte(tt.blocks), &list)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for where, m := range map[string]slacktest.Message{
			"top":        {Blocks: blocks},
			"attachment": {Attachments: []map[string]any{{"blocks": list, "fallback": "<!channel>"}}},
		} {
			if diff := cmp.Diff(tt.pages, m.Pages(), cmpopts.EquateEmpty()); diff != "" || len(m.Links()) != tt.links || len(m.Broken()) != 0 {
				t.Errorf("%s, %s: %d links, broken %q, (-want +got):\n%s", tt.name, where, len(m.Links()), m.Broken(), diff)
			}
		}
	}
	m := slacktest.Message{Attachments: []map[string]any{{"pretext": "<!here>", "text": "<@U1>", "title": "<!channel>"}}}
	if diff := cmp.Diff([]string{"!here", "@U1"}, m.Pages()); diff != "" {
		t.Error(diff)
	}
}
