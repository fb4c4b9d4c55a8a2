package slack_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/slack"
)

func TestConfig(t *testing.T) {
	const hook = "https://hooks.slack.com/services/T0/B0/secretsecret"
	tests := []struct {
		name   string
		config slack.Config
		want   []string // the keys that are refused
	}{
		{"bot", slack.Config{Token: "xoxb-1", Channel: "#growth"}, nil},
		{"bot at GovSlack", slack.Config{Token: "xoxb-1", Channel: "#growth", APIURL: "https://slack-gov.com/api", Timeout: time.Minute}, nil},
		{"webhook", slack.Config{WebhookURL: hook}, nil},
		{"nothing", slack.Config{}, []string{""}},
		{"channel alone", slack.Config{Channel: "#growth"}, []string{""}},
		{"both", slack.Config{Token: "xoxb-1", Channel: "#growth", WebhookURL: hook}, []string{"webhook_url"}},
		{"no channel", slack.Config{Token: "xoxb-1"}, []string{"channel"}},
		{"webhook with the bot's settings", slack.Config{WebhookURL: hook, Channel: "#growth", APIURL: "https://slack.com/api/"}, []string{"channel", "api_url"}},
		{"webhook with threads", slack.Config{WebhookURL: hook, Thread: "x", Channels: []string{"#a"}, Long: slack.InFile}, []string{"channels", "thread", "long"}},
		{"channel from a template", slack.Config{Token: "xoxb-1", Channel: "#{{ .Fields.TEAM }}", Channels: []string{"#a", "C024BE91L"}, Thread: "{{ .Unit }}"}, nil},
		{"channel from a template, any", slack.Config{Token: "xoxb-1", Channel: "#{{ .Fields.TEAM }}"}, []string{"channels"}},
		{"channels for one channel", slack.Config{Token: "xoxb-1", Channel: "#a", Channels: []string{"#a"}}, []string{"channels"}},
		{"channels with spaces", slack.Config{Token: "xoxb-1", Channel: "{{ .Text }}", Channels: []string{"#a "}}, []string{"channels"}},
		{"channels with none", slack.Config{Token: "xoxb-1", Channel: "{{ .Text }}", Channels: []string{""}}, []string{"channels"}},
		{"bad templates", slack.Config{Token: "xoxb-1", Channel: "{{ .Nope }}", Channels: []string{"#a"}, Thread: "{{"}, []string{"channel", "thread"}},
		{"webhook is no URL", slack.Config{WebhookURL: "secretsecret"}, []string{"webhook_url"}},
		{"webhook does not parse", slack.Config{WebhookURL: "https://a b/secretsecret"}, []string{"webhook_url"}},
		{"token with a line break", slack.Config{Token: "xoxb-secretsecret\n", Channel: "#growth"}, []string{"token"}},
		{"token of an app", slack.Config{Token: "xapp-secretsecret", Channel: "#growth"}, []string{"token"}},
		{"token is a webhook", slack.Config{Token: hook, Channel: "#growth"}, []string{"token"}},
		{"tls without it", slack.Config{Token: "xoxb-1", Channel: "C1", APIURL: "http://localhost/", TLS: action.TLS{ServerName: "x"}}, []string{"tls"}},
		{"tls with Slack", slack.Config{Token: "xoxb-1", Channel: "C1", TLS: action.TLS{ServerName: "x"}}, nil},
		{"webhook and tls without it", slack.Config{WebhookURL: "http://hooks.example/x", TLS: action.TLS{ServerName: "x"}}, []string{"tls"}},
		{"text", slack.Config{Token: "xoxb-1", Channel: "C1", Format: slack.Text, Long: slack.InFile}, nil},
		{"blocks", slack.Config{WebhookURL: hook, Format: slack.Blocks}, nil},
		{"webhook with a thread", slack.Config{WebhookURL: hook, Long: slack.InThread}, []string{"long"}},
		{"everything at once", slack.Config{Token: "xapp-secretsecret", APIURL: "slack.com", Timeout: -1, Format: "markdown", Long: "cut"}, []string{"token", "channel", "api_url", "format", "long", "timeout"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := slack.New(tt.config)
			if (a == nil) != (err != nil) {
				t.Errorf("New = %v, %v", a, err)
			}
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s\n%v", diff, err)
			}
			if err != nil && strings.Contains(err.Error(), "secretsecret") {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

// TestTemplates: package config checks them against the rules.
func TestTemplates(t *testing.T) {
	a := newAction(t, slack.Config{Token: "xoxb-1", Channel: "#{{ .Captures.team }}", Channels: []string{"#a"}, Thread: "{{ .JSON.id }}"})
	if got := a.Templates(); len(got) != 2 || !slices.Equal(got["channel"].Captures(), []string{"team"}) || !got["thread"].Uses("JSON") {
		t.Errorf("%v", got)
	}
	if got := newAction(t, slack.Config{Token: "xoxb-1", Channel: "#a"}).Templates(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestTimeLimit(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: action.DefaultTimeout, time.Minute: time.Minute} {
		if got := newAction(t, slack.Config{WebhookURL: "https://hooks.example/x", Timeout: set}).TimeLimit(); got != want {
			t.Errorf("timeout %v: %v, want %v", set, got, want)
		}
		// For a bot, that is of one request.
		if got := newAction(t, slack.Config{Token: "xoxb-1", Channel: "#a", Timeout: set}).TimeLimit(); got != 4*want {
			t.Errorf("timeout %v: %v, want %v", set, got, 4*want)
		}
	}
}
