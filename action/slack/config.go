package slack

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// check reports everything that is wrong with the settings.
func (c Config) check() error {
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	const alone = "webhook_url has it all: it stands for one channel of one workspace"
	switch {
	case c.Token != "" && c.WebhookURL != "":
		refuse("webhook_url", "cannot go with token", "keep token to post as a bot, or webhook_url to post through a webhook")
	case c.Token == "" && c.WebhookURL == "":
		refuse("", "needs token and channel, or webhook_url", "token: ${credential:slack-token} and channel: \"#growth\"")
	case c.WebhookURL != "":
		if !isHTTP(c.WebhookURL.Reveal()) {
			refuse("webhook_url", "is not a URL", "Slack shows it as https://hooks.slack.com/services/...")
		}
		if c.Channel != "" {
			refuse("channel", "cannot go with webhook_url", alone)
		}
		if c.APIURL != "" {
			refuse("api_url", "cannot go with webhook_url", alone)
		}
		if len(c.Channels) > 0 {
			refuse("channels", "cannot go with webhook_url", alone)
		}
		if c.Thread != "" {
			refuse("thread", "cannot go with webhook_url", "a webhook has no threads; leave it out, or take a token")
		}
		if c.Long != "" {
			refuse("long", "cannot go with webhook_url", "a webhook has neither threads nor files; leave it out, or take a token")
		}
	default:
		if problem, hint := checkToken(c.Token.Reveal()); problem != "" {
			refuse("token", problem, hint)
		}
		if strings.TrimSpace(c.Channel) == "" {
			refuse("channel", "is missing", `write a name, in quotes as # begins a comment: channel: "#growth"; or an id: channel: C024BE91L`)
		}
		if c.APIURL != "" && !isHTTP(c.APIURL) {
			refuse("api_url", "is not a URL", "write it like https://slack-gov.com/api/, or leave it out")
		}
		switch {
		case c.chooses() && len(c.Channels) == 0:
			refuse("channels", "is missing", `list the channels that the template may choose: channels: ["#growth", "#ops"]`)
		case !c.chooses() && len(c.Channels) > 0:
			refuse("channels", "is for a channel that is a template", "leave it out, or have the template choose one of them: channel: \"{{ .Fields.CHANNEL }}\"")
		case slices.ContainsFunc(c.Channels, func(name string) bool { return strings.TrimSpace(name) != name || name == "" }):
			refuse("channels", "has an empty name, or one with spaces around it", `write them as the template makes them: ["#growth", C024BE91L]`)
		}
	}
	switch c.Format {
	case "", Blocks, Text:
	default:
		refuse("format", fmt.Sprintf("is %q, which is neither blocks nor text", c.Format), "leave it out for blocks: a coloured line, unit, host, time")
	}
	switch c.Long {
	case "", InThread, InFile:
	default:
		refuse("long", fmt.Sprintf("is %q, which is neither thread nor file", c.Long), "leave it out to have long texts go on in a thread")
	}
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 30s, or leave it out")
	}
	return errors.Join(errs...)
}

// chooses says that the channel is a template.
func (c Config) chooses() bool { return strings.Contains(c.Channel, "{{") }

// takeTemplates parses the templates. What they make of an entry is no mark-up: it is compared only.
func (a *Action) takeTemplates() error {
	var errs []error
	take := func(key, text, hint string) *action.Template {
		t, err := action.ParseTemplate(text, nil)
		if err != nil {
			errs = append(errs, &action.FieldError{Key: key, Problem: fmt.Sprintf("is a bad %v", err), Hint: hint})
			return nil
		}
		a.templates[key] = t
		return t
	}
	if a.config.chooses() {
		a.channel = take("channel", a.config.Channel, `write it like "{{ .Fields.CHANNEL }}"`)
	}
	if a.config.Thread != "" {
		a.threads = take("thread", a.config.Thread, `write it like "{{ .Unit }}", with all in it that messages of one thread have in common`)
	}
	return errors.Join(errs...)
}

// checkToken finds what is surely no bot's token.
func checkToken(token string) (problem, hint string) {
	switch {
	case strings.ContainsAny(token, " \t\r\n"):
		return "has a space or a line break in it", "a token is one word, which begins with xoxb-"
	case strings.HasPrefix(token, "https://"):
		return "is a URL", "an incoming webhook goes into webhook_url"
	case strings.HasPrefix(token, "xapp-"):
		return "is an app-level token, which cannot post", "take the Bot User OAuth Token, which begins with xoxb-"
	}
	return "", ""
}

func isHTTP(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.RawQuery == "" && u.Fragment == ""
}
