package nats_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/nats"
	"github.com/nats-io/nkeys"
)

func TestRefusedSettings(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	accountSeed, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	url := []string{"nats://localhost"}
	tests := []struct {
		config nats.Config
		keys   []string
	}{
		{nats.Config{URL: url, Subject: "logs"}, nil},
		{nats.Config{URL: []string{"nats://localhost", "tls://[::1]:4223/"}, Subject: "logs.{{ .Unit }}.{{ .Captures.x }}"}, nil},
		{nats.Config{URL: url, Subject: `{{ slice .Captures.id 0 2 }}.x`}, nil},
		{nats.Config{}, []string{"url", "subject"}},
		{nats.Config{URL: []string{"localhost:4222"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"http://localhost:4222"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://:4222"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://localhost:99999"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://::1"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://a:4222,nats://b:4222"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://a:4222,b:4222"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://localhost/logs"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://router:the-secret@localhost"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: []string{"nats://the-secret@localhost:x"}, Subject: "logs"}, []string{"url"}},
		{nats.Config{URL: url, Subject: "logs.{{ .Unit"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs.{{ .Nothing }}"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs..{{ .Unit }}"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs.{{ .Unit }}."}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs.*"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs.>"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs of {{ .Unit }}"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "{{ if .Unit }}logs{{ end }}"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: strings.Repeat("logs.", 500) + "x"}, []string{"subject"}},
		{nats.Config{URL: url, Subject: "logs", Stream: "a b"}, []string{"stream"}},
		{nats.Config{URL: url, Subject: "logs", Stream: "logs.*"}, []string{"stream"}},
		{nats.Config{URL: url, Subject: "logs", Domain: "a.b"}, []string{"domain"}},
		{nats.Config{URL: url, Subject: "logs", InboxPrefix: "_INBOX.>"}, []string{"inbox_prefix"}},
		{nats.Config{URL: url, Subject: "logs", InboxPrefix: "_INBOX."}, []string{"inbox_prefix"}},
		{nats.Config{URL: url, Subject: "logs", Timeout: -1}, []string{"timeout"}},
		{nats.Config{URL: url, Subject: "logs", Headers: map[string]string{
			"nats-msg-id": "x", "Nats-Expected-Last-Sequence": "1", "Nats-Batch-Id": "x", "a b": "x", "a(b": "x", `a\b`: "x", "": "x",
			"Bad": "{{", "Good": "{{ .Unit }}", "All_of~these!are#$%&'*+.^`|good": "x",
		}}, []string{"headers.", "headers.Bad", "headers.Nats-Batch-Id", "headers.Nats-Expected-Last-Sequence", "headers.a b", "headers.a(b", `headers.a\b`, "headers.nats-msg-id"}},
		{nats.Config{URL: url, Subject: "logs", TLS: action.TLS{CA: "ca.pem"}}, []string{"tls.ca"}},
		{nats.Config{URL: url, Subject: "logs", User: "router"}, []string{"password"}},
		{nats.Config{URL: url, Subject: "logs", Password: "the-secret"}, []string{"user"}},
		{nats.Config{URL: url, Subject: "logs", User: "router", Password: "the-secret", Token: "the-secret"}, []string{"token"}},
		{nats.Config{URL: url, Subject: "logs", NKey: "the-secret"}, []string{"nkey"}},
		{nats.Config{URL: url, Subject: "logs", NKey: action.Secret(accountSeed)}, []string{"nkey"}},
		{nats.Config{URL: url, Subject: "logs", Creds: "/etc/the-secret.creds"}, []string{"creds"}},
	}
	for _, tt := range tests {
		_, err := nats.New(tt.config)
		if keys := actiontest.RefusedKeys(t, err); !slices.Equal(keys, tt.keys) {
			t.Errorf("%+v: refused %q, want %q: %v", tt.config, keys, tt.keys, err)
		}
		if err != nil && (strings.Contains(err.Error(), "the-secret") || strings.Contains(err.Error(), string(accountSeed))) {
			t.Errorf("the error has the secret: %v", err)
		}
	}
}

// TestSubject: what a value becomes within a subject, and what of a template is fixed.
func TestSubject(t *testing.T) {
	for value, want := range map[string]string{
		"":                           "_",
		"shop":                       "shop",
		"shop@1.service":             "shop@1_service",
		"a b\tc\r\nd":                "a_b_c__d",
		"*":                          "_",
		"$JS.API.STREAM.DELETE.X":    "_JS_API_STREAM_DELETE_X",
		"$JS":                        "_JS",
		"a$":                         "a$",
		"> x":                        "__x",
		"\xff\x00\u2028\u00a0":       "____",
		"Zürich":                     "Zürich",
		strings.Repeat("é", 1000):    strings.Repeat("é", 64),
		"x" + strings.Repeat("é", 9): "x" + strings.Repeat("é", 9),
	} {
		if got := nats.Token(value); got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	}
	for template, want := range map[string]string{
		"logs.shop":                "logs.shop",
		"logs.{{ .Unit }}":         "logs.>",
		"logs.x{{ .Unit }}.tail":   "logs.>",
		"a.b.{{ .Unit }}.{{ .X }}": "a.b.>",
		"{{ .Unit }}.logs":         ">",
	} {
		if got := nats.Pattern(template); got != want {
			t.Errorf("%s is %s, want %s", template, got, want)
		}
	}
}
