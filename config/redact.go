package config

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// redactor returns what takes all secrets known so far out of a text, and their
// parts.
func (l *loader) redactor() func(string) string {
	const least = 4 // shorter ones would hit harmless words
	var forms []string
	for s := range l.secrets {
		for _, part := range append(partsOf(s), s) {
			for _, form := range formsOf(part) {
				if len(form) >= least {
					forms = append(forms, form)
				}
			}
		}
	}
	// The longest first: one secret may be a part of another.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, "[secret]")
	}
	return strings.NewReplacer(pairs...).Replace
}

// formsOf are the ways in which errors show a secret: as it is, escaped in a URL,
// in quotes or in JSON, on one line, and, if it is a URL, as package net/url writes it.
func formsOf(s string) []string {
	quoted := strconv.Quote(s)
	forms := []string{
		s, url.QueryEscape(s), url.PathEscape(s), quoted[1 : len(quoted)-1],
		strings.TrimSpace(s), action.OneLine(s, len(s)),
	}
	if b, err := json.Marshal(s); err == nil {
		forms = append(forms, string(b[1:len(b)-1]))
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
		if password, ok := u.User.Password(); ok {
			parts = append(parts, password)
		}
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

// collectPasswords keeps those in URLs among the settings, which may not be secret as
// a whole.
func (l *loader) collectPasswords(settings reflect.Value) {
	walkTexts(settings, func(s string) {
		if u, err := url.Parse(s); err == nil && u.Host != "" {
			if password, _ := u.User.Password(); password != "" {
				l.secrets[password] = true
			}
		}
	})
}

// walkTexts visits every text in a Config.
func walkTexts(v reflect.Value, visit func(string)) {
	switch v.Kind() {
	case reflect.String:
		visit(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walkTexts(v.Field(i), visit)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walkTexts(it.Value(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkTexts(v.Index(i), visit)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walkTexts(v.Elem(), visit)
		}
	}
}
