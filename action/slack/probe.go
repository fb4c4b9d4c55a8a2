package slack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// Probe implements action.Prober. With a token it asks Slack whose that is, and what
// it may do; whether the bot is in the channel, only a message can tell. Of an incoming
// webhook there is nothing to ask: it connects to its host.
// https://docs.slack.dev/reference/methods/auth.test
func (a *Action) Probe(ctx context.Context) error {
	if a.api == nil {
		u, err := url.Parse(a.config.WebhookURL.Reveal())
		if err == nil {
			err = action.ProbeHTTP(ctx, a.http, u)
		}
		if err != nil {
			return fmt.Errorf("connect to %s: %w", a.to, action.Redact(err, a.secrets...))
		}
		return nil
	}
	if err := a.testToken(ctx); err != nil {
		return fmt.Errorf("ask Slack about the token: %w", action.Redact(err, a.secrets...))
	}
	return nil
}

func (a *Action) testToken(ctx context.Context) error {
	who, err := a.api.AuthTestContext(ctx)
	if err != nil {
		return asked(err)
	}
	if who.TeamID == "" {
		return errors.New("the reply is not Slack's: it names no team (does api_url lead to Slack?)")
	}
	// https://docs.slack.dev/authentication/installing-with-oauth: each reply tells the scopes.
	scopes := strings.FieldsFunc(who.Header.Get("X-OAuth-Scopes"), separates)
	if len(scopes) == 0 {
		return nil
	}
	for _, scope := range a.needed() {
		if !slices.Contains(scopes, scope) {
			return fmt.Errorf("the token has not the scope %s (%s)", scope, hintScope(scope))
		}
	}
	return nil
}

// needed are the scopes without which something that is configured cannot be. Without the right
// to read the history, all is delivered; only what is lost on the network may come twice.
func (a *Action) needed() []string {
	if a.config.Long == InFile {
		return []string{"chat:write", "files:write"}
	}
	return []string{"chat:write"}
}

func separates(r rune) bool { return r == ',' || r == ' ' }
