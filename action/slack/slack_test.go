package slack_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

var secrets = []string{slacktest.Token, slacktest.WebhookPath, "XXXXXXXXXXXXXXXXXXXXXXXX"}

func TestContractOfBot(t *testing.T) {
	for name, thread := range map[string]string{"channel": "", "thread": "{{ .Rule }}"} {
		t.Run(name, func(t *testing.T) {
			actiontest.Run(t, actiontest.Harness{
				Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
					return destination(t, mood, func(base string) slack.Config {
						return slack.Config{Token: slacktest.Token, Channel: "#growth", Thread: thread, APIURL: base + slacktest.APIPath}
					}, slacktest.Error("invalid_auth"))
				},
				Secrets: secrets,
				Repeat:  "is told by the memory",
				Once:    true,
			})
		})
	}
}

func TestContractOfWebhook(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			return destination(t, mood, func(base string) slack.Config {
				return slack.Config{WebhookURL: action.Secret(base + slacktest.WebhookPath)}
			}, slacktest.Status(403, "invalid_token"))
		},
		Secrets: secrets,
		Repeat:  "is shown twice, and nothing tells: an incoming webhook takes no metadata",
	})
}

func destination(t *testing.T, mood actiontest.Mood, config func(base string) slack.Config, refusal slacktest.Fault) actiontest.Destination {
	s := slacktest.NewServer()
	t.Cleanup(s.Close)
	base := strings.TrimSuffix(s.APIURL(), slacktest.APIPath)
	switch mood {
	case actiontest.Failing:
		s.Always(slacktest.Status(503, "<html>try later</html>"))
	case actiontest.Refusing:
		s.Always(refusal)
	case actiontest.Busy:
		s.Always(slacktest.RateLimited(actiontest.BusyFor))
	case actiontest.Hanging:
		s.Always(slacktest.Hang())
	case actiontest.Echoing:
		base = echo(t)
	}
	reached := make(chan struct{})
	go func() {
		if s.WaitRequests(t.Context(), 1) == nil {
			close(reached)
		}
	}()
	return actiontest.Destination{
		Action: newAction(t, config(base)),
		Accepted: func() (texts []string) {
			for _, m := range s.Messages() {
				if m.ThreadTS == "" { // else it is a part of a long one
					texts = append(texts, m.Says())
				}
			}
			return texts
		},
		Reached: reached,
		Heal:    func() { s.Always(slacktest.OK) },
	}
}

// echo is a proxy that is no Slack, and shows what it was sent.
func echo(t *testing.T) (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true)
		w.WriteHeader(http.StatusForbidden)
		w.Write(dump)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func newAction(t *testing.T, c slack.Config) *slack.Action {
	t.Helper()
	a, err := slack.New(c)
	if err != nil {
		t.Fatal(err)
	}
	actiontest.Remember(a, nil)
	t.Cleanup(func() { a.Close() })
	return a
}

// TestFaults has a row for each way in which Slack, or what stands before it, may
// answer, and what becomes of the delivery.
func TestFaults(t *testing.T) {
	const accepted, temporary, permanent = "accepted", "temporary", "permanent"
	both := []string{"bot", "webhook"}
	bot, hook := both[:1], both[1:]
	tests := []struct {
		name  string
		kinds []string
		fault slacktest.Fault
		class string
		says  string
	}{
		{"ok", both, slacktest.OK, accepted, ""},
		{"429", both, slacktest.RateLimited(30 * time.Second), "after 30s", "answered 429 Too Many Requests: "},
		{"429 without Retry-After", both, slacktest.Status(429, ""), temporary, "answered 429 Too Many Requests"},
		{"500", both, slacktest.Status(500, "<html>"), temporary, "answered 500 Internal Server Error: <html>"},
		{"503", both, slacktest.Status(503, ""), temporary, "answered 503"},
		{"lost before it arrived", both, slacktest.Drop(), temporary, "EOF"},
		{"lost reply", both, slacktest.DropReply(), temporary, "EOF"},
		{"redirect", both, slacktest.Redirect(302, "https://sso.example/login"), permanent, "redirects are not followed"},
		{"wrong address", hook, slacktest.Status(404, "404 page not found"), permanent, "answered 404 Not Found: 404 page not found"},
		{"wrong api_url", bot, slacktest.Status(404, "404 page not found"), permanent, "answered 404 Not Found: 404 page not found (does api_url lead to Slack? its own ends in /api/)"},
		{"a login page", both, slacktest.Status(200, "<html>Sign in to the hotel</html>"), temporary, "lead to Slack?"},
		{"an empty reply", both, slacktest.Status(200, ""), temporary, "lead to Slack?"},

		{"JSON, but no answer", bot, slacktest.Status(200, "{}"), temporary, "the reply is not Slack's"},
		{"JSON of another kind", bot, slacktest.Status(200, "[]"), temporary, "the reply is not Slack's"},
		{"not ok, without a reason", bot, slacktest.Status(200, `{"ok":false}`), temporary, "the reply is not Slack's"},
		{"ratelimited", bot, slacktest.Error("ratelimited"), temporary, "ratelimited"},
		{"rate_limited", bot, slacktest.Error("rate_limited"), temporary, "rate_limited"},
		{"message_limit_exceeded", bot, slacktest.Error("message_limit_exceeded"), temporary, "message_limit_exceeded"},
		{"internal_error", bot, slacktest.Error("internal_error"), temporary, "internal_error"},
		{"fatal_error", bot, slacktest.Error("fatal_error"), temporary, "fatal_error"},
		{"service_unavailable", bot, slacktest.Error("service_unavailable"), temporary, "service_unavailable"},
		{"request_timeout", bot, slacktest.Error("request_timeout"), temporary, "request_timeout"},
		{"team_added_to_org", bot, slacktest.Error("team_added_to_org"), temporary, "team_added_to_org"},
		{"org_login_required", bot, slacktest.Error("org_login_required"), temporary, "org_login_required"},
		{"invalid_auth", bot, slacktest.Error("invalid_auth"), permanent, "invalid_auth (make a new bot token"},
		{"not_authed", bot, slacktest.Error("not_authed"), permanent, "not_authed (make a new bot token"},
		{"token_revoked", bot, slacktest.Error("token_revoked"), permanent, "token_revoked (make a new bot token"},
		{"token_expired", bot, slacktest.Error("token_expired"), permanent, "token_expired (make a new bot token"},
		{"account_inactive", bot, slacktest.Error("account_inactive"), permanent, "account_inactive (make a new bot token"},
		{"channel_not_found", bot, slacktest.Error("channel_not_found"), permanent, "/invite @bot"},
		{"not_in_channel", bot, slacktest.Error("not_in_channel"), permanent, "/invite @bot"},
		{"is_archived", bot, slacktest.Error("is_archived"), permanent, "unarchive it"},
		{"restricted_action", bot, slacktest.Error("restricted_action"), permanent, "administrators"},
		{"msg_too_long", bot, slacktest.Error("msg_too_long"), permanent, "msg_too_long"},
		{"one that is not known", bot, slacktest.Error("brand_new_error"), permanent, "brand_new_error"},
		{"missing_scope, no word of which", bot, slacktest.Error("missing_scope"), permanent, "missing_scope (give the app the scope that this needs: api.slack.com/apps"},
		{"team_not_found", bot, slacktest.Error("team_not_found"), permanent, "wants the channel's id"},
		{"missing_scope", bot, slacktest.Status(200, `{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"users:read"}`),
			permanent, "missing_scope, needed: chat:write (give the app the scope chat:write"},
		{"with details", bot, slacktest.Status(200, `{"ok":false,"error":"invalid_arguments","response_metadata":{"messages":["[ERROR] must be\na string"]}}`),
			permanent, "invalid_arguments: [ERROR] must be a string"},

		{"invalid_payload", hook, slacktest.Status(400, "invalid_payload"), permanent, "answered 400 Bad Request: invalid_payload"},
		{"invalid_token", hook, slacktest.Status(403, "invalid_token"), permanent, "invalid_token (make a new incoming webhook"},
		{"action_prohibited", hook, slacktest.Status(403, "action_prohibited"), permanent, "action_prohibited (ask the workspace's administrators"},
		{"no_service", hook, slacktest.Status(404, "no_service\n"), permanent, "no_service (make a new incoming webhook"},
		{"webhook's channel_not_found", hook, slacktest.Status(404, "channel_not_found"), permanent, "channel_not_found ("},
		{"channel_is_archived", hook, slacktest.Status(410, "channel_is_archived"), permanent, "unarchive it"},
		{"rollup_error", hook, slacktest.Status(500, "rollup_error"), temporary, "rollup_error"},
	}
	for _, tt := range tests {
		for _, kind := range tt.kinds {
			t.Run(kind+" "+tt.name, func(t *testing.T) {
				s := slacktest.NewServer()
				defer s.Close()
				s.Script(tt.fault)
				c := slack.Config{Token: slacktest.Token, Channel: "#growth", APIURL: s.APIURL()}
				prefix := "post to #growth: "
				if kind == "webhook" {
					c = slack.Config{WebhookURL: action.Secret(s.WebhookURL())}
					prefix = "post to webhook at 127.0.0.1:"
				}
				err := newAction(t, c).Deliver(t.Context(), []action.Message{{ID: "1", Text: "hello"}})
				if got := class(err); got != tt.class {
					t.Errorf("%s, want %s: %v", got, tt.class, err)
				}
				if err != nil && (!strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), tt.says)) {
					t.Errorf("%q does not begin with %q or does not say %q", err, prefix, tt.says)
				}
				if n := s.Requests(); n != 1 {
					t.Errorf("%d requests for one delivery: retrying is not the action's business", n)
				}
			})
		}
	}
}

func class(err error) string {
	wait, after := action.Wait(err)
	switch {
	case err == nil:
		return "accepted"
	case action.IsPermanent(err):
		return "permanent"
	case after:
		return fmt.Sprint("after ", wait)
	}
	return "temporary"
}

// TestMessage: texts as they are shown, in both formats, by a bot and a webhook.
func TestMessage(t *testing.T) {
	long := strings.Repeat("x", 40_001)
	tests := []struct {
		name   string
		text   string
		format slack.Format
		want   string
	}{
		{"mark-up is what it is", "<https://a.example|a> &lt; b", "", "<https://a.example|a> &lt; b"},
		{"line breaks", "one\ntwo", "", "one\ntwo"},
		{"not UTF-8", "a\xffb", "", "a\ufffdb"},
		{"nothing", "", "", "_(empty message)_"},
		{"blank", " \n\t", "", "_(empty message)_"},
		{"as long as it may be", long[:2999], slack.Blocks, long[:2999]},
		{"mark-up in a text", "<!here> a &lt; b", slack.Text, "<!here> a &lt; b"},
		{"no text", "", slack.Text, "_(empty message)_"},
		{"a text as long as it may be", long[:3899], slack.Text, long[:3899]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := slacktest.NewServer()
			defer s.Close()
			for _, c := range []slack.Config{
				{Token: slacktest.Token, Channel: "C024BE91L", APIURL: strings.TrimSuffix(s.APIURL(), "/"), Format: tt.format},
				{WebhookURL: action.Secret(s.WebhookURL()), Format: tt.format},
			} {
				if err := newAction(t, c).Deliver(t.Context(), []action.Message{{ID: "0123", Text: tt.text}}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, m := range s.Messages() {
				got = append(got, m.Channel, m.ID, m.Says())
			}
			if diff := cmp.Diff([]string{"C024BE91L", "0123", tt.want, slacktest.WebhookChannel, "", tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEscape(t *testing.T) {
	a := newAction(t, slack.Config{Token: slacktest.Token, Channel: "#growth"})
	if got, want := a.Escape("<!channel> & <https://x/y> &amp; *bold*"), "&lt;!channel&gt; &amp; &lt;https://x/y&gt; &amp;amp; *bold*"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := a.Escape("a\ufdd0!here"); got != "a\ufffd!here" {
		t.Errorf("a mark of the entry's own stays: %q", got)
	}
	s := slacktest.NewServer()
	defer s.Close()
	a = newAction(t, slack.Config{Token: slacktest.Token, Channel: "#growth", APIURL: s.APIURL()})
	for template, want := range map[string]string{
		"{{ .Text }}":                                      "!channel",
		"<{{ .Text }}|open>":                               "&lt;!channel|open>",
		"x{{ .Text }} <!here>":                             "x!channel <!here>",
		"<{{ .Captures.none }}{{ .Text }}>":                "&lt;!channel>",
		"<https://a.example/{{ .Text }}|open {{ .Text }}>": "<https://a.example/!channel|open !channel>",
	} {
		parsed, err := action.ParseTemplate(template, a.Escape)
		if err != nil {
			t.Fatal(err)
		}
		text, err := parsed.Render(action.Data{Text: "!channel"})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Deliver(t.Context(), []action.Message{{ID: template, Text: text, Custom: true}}); err != nil {
			t.Fatal(err)
		}
		all := s.Messages()
		if says := all[len(all)-1].Attachments[0]["blocks"].([]any)[0].(map[string]any)["text"].(map[string]any)["text"]; says != want {
			t.Errorf("%s: %q, want %q", template, says, want)
		}
	}
}

// TestRequest looks at what goes over the wire and a fake Slack does not mind.
func TestRequest(t *testing.T) {
	var header http.Header
	var form map[string][]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		header, form = r.Header, r.PostForm
		fmt.Fprint(w, `{"ok":true,"ts":"1.2","channel":"C024BE91L"}`)
	}))
	defer server.Close()
	for _, format := range []slack.Format{slack.Blocks, slack.Text} {
		a := newAction(t, slack.Config{Token: "xoxb-1", Channel: "#growth", APIURL: server.URL, Format: format})
		if err := a.Deliver(t.Context(), []action.Message{{ID: "0123", Text: "hello"}}); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{
			"token": {"xoxb-1"}, "channel": {"#growth"}, "text": {"hello"},
			"unfurl_links": {"false"}, "unfurl_media": {"false"},
			"metadata": {`{"event_type":"journald_router","event_payload":{"id":"0123"}}`},
		}
		if format == slack.Blocks {
			delete(want, "text")
			want["attachments"] = []string{`[{"fallback":"hello","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"hello","verbatim":true}}]}]`}
		}
		if diff := cmp.Diff(want, form); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
	}
	if got := header.Get("User-Agent"); got != "journald-router" {
		t.Errorf("User-Agent: %s", got)
	}
}

// TestLines: several deliveries are the lines of one text, as long as they fit.
func TestLines(t *testing.T) {
	var form map[string][]string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		form = r.PostForm
		fmt.Fprint(w, `{"ok":true,"ts":"1.2","channel":"C024BE91L"}`)
	}))
	defer server.Close()
	a := newAction(t, slack.Config{Token: "xoxb-1", Channel: "#growth", APIURL: server.URL, Format: slack.Text})
	if err := a.Deliver(t.Context(), []action.Message{{ID: "01", Text: "one"}, {ID: "02"}, {ID: "03", Text: "a\nb"}}); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"one\n_(empty message)_\na\nb"}, {`{"event_type":"journald_router","event_payload":{"ids":["01","02","03"]}}`}}
	if diff := cmp.Diff(want, [][]string{form["text"], form["metadata"]}); diff != "" {
		t.Errorf("text and metadata (-want +got):\n%s", diff)
	}
	text := func(n int) action.Message { return action.Message{Text: strings.Repeat("é", n)} }
	for _, row := range []struct {
		batch []action.Message
		fit   int
	}{
		{[]action.Message{text(1949), text(1949), text(1)}, 2},
		{[]action.Message{text(1949), text(1948), text(0)}, 2},
		{[]action.Message{text(5000), text(1)}, 1},
		{[]action.Message{text(1), text(5000)}, 1},
		{[]action.Message{text(1), text(2), text(3)}, 3},
	} {
		if n := a.Fit(row.batch); n != row.fit {
			t.Errorf("%d of %d go together, want %d", n, len(row.batch), row.fit)
		}
	}
}
