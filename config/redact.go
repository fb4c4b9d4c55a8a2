package config

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// redactor returns what takes all secrets known so far out of a text, and their
// parts.
func (l *loader) redactor() func(string) string {
	var forms []string
	for s := range l.secrets {
		for _, part := range append(partsOf(s), s) {
			forms = append(forms, formsOf(part)...)
		}
	}
	return action.Redactor(forms...)
}

// formsOf are the ways in which errors show a secret: as it is, escaped in a URL, in
// its userinfo too, in quotes or in JSON, where some escape slashes, in base64, on one
// line, and, if it is a URL, as package net/url writes it.
func formsOf(s string) []string {
	quoted := strconv.Quote(s)
	forms := []string{
		s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1],
		strings.TrimPrefix(url.UserPassword("", s).String(), ":"),
		base64.StdEncoding.EncodeToString([]byte(s)),
		strings.TrimSpace(s), action.OneLine(s, len(s)),
	}
	if b, err := json.Marshal(s); err == nil {
		inJSON := string(b[1 : len(b)-1])
		forms = append(forms, inJSON, strings.ReplaceAll(inJSON, "/", `\/`))
	}
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		forms = append(forms, u.String(), u.Redacted())
	}
	return forms
}

var (
	// tellingParameters are those of a URL's query that are secret.
	tellingParameters = regexp.MustCompile(`(?i)passw|token|secret|api_?key`)
	// keyword is a secret in a connection string of libpq's:
	// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
	keyword = regexp.MustCompile(`(?i)(?:^|\s)(?:ssl)?password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\]|\\.)+))`)
	escaped = regexp.MustCompile(`\\(.)`)
	// scheme is that of an Authorization header: RFC 9110, section 11.6.2.
	scheme = regexp.MustCompile(`(?i)^(basic|bearer|token) +(\S+)$`)
)

// partsOf are what is secret by itself within a secret: the password of a URL or of a
// connection string, which errors show apart from the rest, the credentials behind
// a header's scheme, the lines of a file.
func partsOf(s string) (parts []string) {
	if u, err := url.Parse(s); err == nil {
		parts = append(parts, login(u, s)...)
		for name, values := range u.Query() {
			if tellingParameters.MatchString(name) {
				parts = append(parts, values...)
			}
		}
	}
	for _, m := range keyword.FindAllStringSubmatch(s, -1) {
		parts = append(parts, m[1]+m[2], escaped.ReplaceAllString(m[1]+m[2], "$1"))
	}
	if m := scheme.FindStringSubmatch(s); m != nil {
		parts = append(parts, m[2])
		if pair, err := base64.StdEncoding.DecodeString(m[2]); err == nil && strings.EqualFold(m[1], "basic") {
			_, password, _ := strings.Cut(string(pair), ":")
			parts = append(parts, password)
		}
	}
	// Not the dashed ones around PEM, which are in hints.
	const least = 16 // a line of text may be a word
	if strings.Contains(s, "\n") {
		for line := range strings.Lines(s) {
			if line = strings.TrimSpace(line); len(line) >= least && !strings.HasPrefix(line, "-----") {
				parts = append(parts, line)
			}
		}
	}
	return parts
}

// login is what is secret of a URL's userinfo: the password, as it is and as it is
// written there, and both as an Authorization header has them; or a token that stands
// in the place of a user.
func login(u *url.URL, written string) (parts []string) {
	user := u.User.Username()
	password, ok := u.User.Password()
	const least = 16 // a shorter one is a name
	if !ok && len(user) >= least {
		parts = append(parts, user)
	}
	if password == "" {
		return parts
	}
	parts = append(parts, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	_, authority, _ := strings.Cut(written, "//")
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		_, raw, _ := strings.Cut(authority[:at], ":")
		parts = append(parts, raw)
	}
	return parts
}
