package slacktest

import (
	"slices"
	"strings"
)

const (
	teamID    = "T00000000"
	botUserID = "U00000000"
	botID     = "B00000000"
	// webhookBotID is that of the incoming webhook: a token's bot may not edit its
	// messages.
	webhookBotID = "B00000001"
)

// authorize refuses where the token is not good, or has none of the scopes.
// https://docs.slack.dev/reference/methods/auth.test#errors
func (s *Slack) authorize(r request, scopes []string) (refusal *answer) {
	switch {
	case r.token == "":
		return refusing("not_authed")
	case r.token != s.Token:
		return refusing("invalid_auth")
	case len(scopes) > 0 && !slices.ContainsFunc(scopes, s.may):
		return s.missingScope(scopes...)
	}
	return nil
}

// may tells whether the token has a scope.
func (s *Slack) may(scope string) bool {
	separates := func(r rune) bool { return r == ',' || r == ' ' }
	return slices.Contains(strings.FieldsFunc(s.Scopes, separates), scope)
}

// missingScope names all scopes of which one is needed.
func (s *Slack) missingScope(needed ...string) *answer {
	a := jsonAnswer(map[string]any{
		"ok": false, "error": "missing_scope", "needed": strings.Join(needed, ","), "provided": s.Scopes,
	})
	return &a
}

// authTest is https://docs.slack.dev/reference/methods/auth.test. Each reply of
// Slack tells the token's scopes in a header:
// https://docs.slack.dev/authentication/installing-with-oauth
func (s *Slack) authTest(r request) answer {
	a := accepted(map[string]any{
		"url": r.base + "/", "team": "Fake", "user": "router", "team_id": teamID, "user_id": botUserID, "bot_id": botID,
	})
	a.header["X-Oauth-Scopes"] = []string{s.Scopes}
	return a
}
