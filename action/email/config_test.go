package email_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/email"
)

func TestConfig(t *testing.T) {
	good := func(change func(c *email.Config)) email.Config {
		c := email.Config{Host: "smtp.example.com", From: "a@example.com", To: "b@example.com"}
		change(&c)
		return c
	}
	tests := []struct {
		name   string
		config email.Config
		want   []string // the keys that are refused
	}{
		{"good", good(func(*email.Config) {}), nil},
		{"good, all set", good(func(c *email.Config) {
			*c = email.Config{Host: "[::1]", Port: 2525, Security: email.TLS, TLS: action.TLS{ServerName: "x"}, User: "u", Password: "p", Hello: "[192.0.2.1]", Timeout: 1,
				From: "Grüße <a@example.com>", To: "b@example.com, c@example.com", Cc: "{{ .Fields.CC }}", Bcc: "d@example.com", AllowDomains: []string{"example.com"},
				AllowAddresses: []string{"e@example.org"}, ReplyTo: "f@example.com", Subject: "{{ .Text }}", HTML: "<p>{{ .Text }}"}
		}), nil},
		{"bcc alone", good(func(c *email.Config) { c.To, c.Bcc = "", "b@example.com" }), nil},
		{"nothing", email.Config{}, []string{"host", "from", "to"}},
		{"host with a port", good(func(c *email.Config) { c.Host = "smtp.example.com:587" }), []string{"host"}},
		{"host is a URL", good(func(c *email.Config) { c.Host = "smtp://smtp.example.com" }), []string{"host"}},
		{"host beyond ASCII", good(func(c *email.Config) { c.Host = "smtp.exämple.com" }), []string{"host"}},
		{"host as SMTP has an address", good(func(c *email.Config) { c.Host = "[IPv6:::1]" }), []string{"host"}},
		{"port", good(func(c *email.Config) { c.Port = 65536 }), []string{"port"}},
		{"security", good(func(c *email.Config) { c.Security = "ssl" }), []string{"security"}},
		{"hello", good(func(c *email.Config) { c.Hello = "a b" }), []string{"hello"}},
		{"hello with a line break", good(func(c *email.Config) { c.Hello = "a\r\nMAIL" }), []string{"hello"}},
		{"hello beyond ASCII", good(func(c *email.Config) { c.Hello = "mail.exämple.com" }), []string{"hello"}},
		{"user alone", good(func(c *email.Config) { c.User = "u" }), []string{"user"}},
		{"password alone", good(func(c *email.Config) { c.Password = "secret-word" }), []string{"password"}},
		{"password with a line break", good(func(c *email.Config) { c.User, c.Password = "u", "secret-word\n" }), []string{"password"}},
		{"tls without tls", good(func(c *email.Config) { c.Security, c.TLS.ServerName = email.None, "x" }), []string{"tls"}},
		{"tls", good(func(c *email.Config) { c.TLS.CA = "relative" }), []string{"tls.ca"}},
		{"timeout", good(func(c *email.Config) { c.Timeout = -1 }), []string{"timeout"}},
		{"from is a list", good(func(c *email.Config) { c.From = "a@example.com, b@example.com" }), []string{"from"}},
		{"from is a template", good(func(c *email.Config) { c.From = "{{ .Fields.FROM }}" }), []string{"from"}},
		{"to is a word", good(func(c *email.Config) { c.To = "ops" }), []string{"to"}},
		{"to is empty", good(func(c *email.Config) { c.To = " , " }), []string{"to"}},
		{"to has a space", good(func(c *email.Config) { c.To = `"a b"@example.com` }), []string{"to"}},
		{"to is too long", good(func(c *email.Config) { c.To = strings.Repeat("x", 250) + "@example.com" }), []string{"to"}},
		{"one is bad", good(func(c *email.Config) { c.Cc = "a@example.com, b" }), []string{"cc"}},
		{"a hundred", good(func(c *email.Config) { c.To, c.Cc, c.Bcc = many(1, 50), many(40, 101), many(1, 101) }), nil},
		{"one more", good(func(c *email.Config) { c.To, c.Cc = many(1, 50), many(40, 102) }), []string{"cc"}},
		{"bad template", good(func(c *email.Config) { c.To = "{{ .Nope }}" }), []string{"to"}},
		{"whoever the entry says", good(func(c *email.Config) { c.To = "{{ .Fields.MAIL_TO }}" }), []string{"to"}},
		{"in copy, too", good(func(c *email.Config) { c.Bcc = "x@example.com{{ if .Text }}{{ end }}" }), []string{"bcc"}},
		{"allowed for nothing", good(func(c *email.Config) { c.AllowDomains = []string{"example.com"} }), []string{"allow_domains"}},
		{"allowed for nothing, address", good(func(c *email.Config) { c.AllowAddresses = []string{"b@example.com"} }), []string{"allow_addresses"}},
		{"any domain", good(func(c *email.Config) { c.To, c.AllowDomains = "{{ .Text }}", []string{"*"} }), nil},
		{"no domain", good(func(c *email.Config) { c.To, c.AllowDomains = "{{ .Text }}", []string{"*.example.com"} }), []string{"allow_domains"}},
		{"those below a domain", good(func(c *email.Config) { c.To, c.AllowDomains = "{{ .Text }}", []string{".example.com"} }), []string{"allow_domains"}},
		{"a domain with its last dot", good(func(c *email.Config) { c.To, c.AllowDomains = "{{ .Text }}", []string{"example.com."} }), []string{"allow_domains"}},
		{"an address is no domain", good(func(c *email.Config) { c.To, c.AllowDomains = "{{ .Text }}", []string{"@example.com"} }), []string{"allow_domains"}},
		{"a domain is no address", good(func(c *email.Config) { c.To, c.AllowAddresses = "{{ .Text }}", []string{"example.com"} }), []string{"allow_addresses"}},
		{"reply_to", good(func(c *email.Config) { c.ReplyTo = "help" }), []string{"reply_to"}},
		{"subject", good(func(c *email.Config) { c.Subject = "{{ .Nope }}" }), []string{"subject"}},
		{"html", good(func(c *email.Config) { c.HTML = `<a href="{{ if .Text }}"{{ end }}>` }), []string{"html"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := email.New(tt.config)
			if (a == nil) != (err != nil) {
				t.Errorf("New = %v, %v", a, err)
			}
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s\n%v", diff, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret-word") {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

// many is a list of addresses with the numbers in [from, to).
func many(from, to int) string {
	var list []string
	for n := from; n < to; n++ {
		list = append(list, fmt.Sprintf("u%d@example.com", n))
	}
	return strings.Join(list, ", ")
}

// TestAnyDomain: "*" allows every domain, and still only what is an address.
func TestAnyDomain(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"*"}})
	deliverable := func(to string) error {
		return a.Deliver(t.Context(), []action.Message{entry(1, "x", "MAIL_TO="+to)})
	}
	if err := deliverable("ada@anywhere.example"); err != nil {
		t.Error(err)
	}
	if err := deliverable("eve@evil.example@example.com"); !action.IsPermanent(err) {
		t.Errorf("%v; want a permanent error", err)
	}
	if mails := s.Mails(); len(mails) != 1 || !slices.Equal(mails[0].To, []string{"ada@anywhere.example"}) {
		t.Errorf("sent: %v", mails)
	}
}

// TestRecipients: what an entry may name, and what is sent to nobody.
func TestRecipients(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"example.com"}, AllowAddresses: []string{"ada@example.org"}})
	for _, tt := range []struct {
		to   string
		want string // in the error; empty for none
	}{
		{"ada@example.com", ""},
		{"ADA@Example.COM", ""},
		{"Ada@example.org", ""},
		{"Ada <ada@example.com>, bob@example.com\r\n", ""},
		{"ada@example.com,\r\n\tbob@example.com", "is no list"},
		{"team: ada@example.com, bob@example.com;", ""},
		{"", "the entry names nobody"},
		{" , ", "the entry names nobody"},
		{"bob@example.org", "bob@example.org is neither in allow_domains"},
		{"ada@example.com, eve@evil.example", "eve@evil.example is neither"},
		{"eve@sub.example.com", "eve@sub.example.com is neither"},
		{"eve@evilexample.com", "eve@evilexample.com is neither"},
		{"eve@evil.example@example.com", `"eve@evil.example@example.com" is no list`},
		{`"eve@evil.example"@example.com`, `"eve@evil.example@example.com" is no mail address`},
		{"eve%evil.example@example.com", `"eve%evil.example@example.com" is no mail address`},
		{"evil.example!eve@example.com", `"evil.example!eve@example.com" is no mail address`},
		{"eve@exam\u212ale.com", "is neither"},
		{"eve@[192.0.2.1]", "eve@[192.0.2.1] is neither"},
		{"ada@example.com\r\nBcc: eve@evil.example", "is no list"},
		{"<ada@example.com> <eve@evil.example>", "is no list"},
		{"\"x\r\nBcc: eve@evil.example\" <ada@example.com>", "is no list"},
		{"=?UTF-8?Q?x=0D=0ABcc:_eve@evil.example?= <ada@example.com>", "is no list"},
		{"=?UTF-8?Q?=C3=84da?= <ada@example.com>", ""},
		{"ada\x00@example.com", "is no list"},
		{"ada@example.com\xff", "is no"},
		{many(0, 101), "the mail has 101 recipients, and 100 at most go"},
		{many(0, 100), ""},
	} {
		before := len(s.Mails())
		err := a.Deliver(t.Context(), []action.Message{entry(1, "x", "MAIL_TO="+tt.to)})
		if tt.want == "" && err != nil || tt.want != "" && (!action.IsPermanent(err) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.80q: %v\nwant %s", tt.to, err, tt.want)
		}
		mails := s.Mails()[before:]
		if (len(mails) == 1) != (tt.want == "") {
			t.Errorf("%.80q: %d mails", tt.to, len(mails))
		}
		for _, m := range mails {
			for _, to := range m.To {
				if !strings.HasSuffix(to, "@example.com") && to != "Ada@example.org" {
					t.Errorf("%.80q: sent to %s", tt.to, to)
				}
			}
			if m.Header("Bcc") != "" {
				t.Errorf("%.80q: a header more:\n%s", tt.to, m.Data)
			}
			checkLines(t, m)
		}
	}
}

// TestFit: a call has as many messages as become 20 mails.
func TestFit(t *testing.T) {
	c := email.Config{Host: "h", From: "a@b", To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"example.com"}}
	var batch []action.Message
	for i := range 60 {
		batch = append(batch, entry(i, "x", fmt.Sprintf("MAIL_TO=u%d@example.com", i/2)))
	}
	batch[5] = entry(5, "x", "MAIL_TO=nobody")
	for to, want := range map[string]int{c.To: 40, "ops@example.com": 60} {
		if c.To = to; want == 60 {
			c.AllowDomains = nil
		} else {
			c.AllowDomains = []string{"example.com"}
		}
		a, err := email.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Fit(batch); got != want {
			t.Errorf("to %s: %d, want %d", to, got, want)
		}
	}
}

func TestPin(t *testing.T) {
	for to, want := range map[string]bool{"ops@example.com": false, "{{ .Fields.MAIL_TO }}": true} {
		c := email.Config{Host: "h", From: "a@b", To: to}
		if want {
			c.AllowDomains = []string{"example.com"}
		}
		a, err := email.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if risk, must := a.Pin(); must != want || (risk != "") != want {
			t.Errorf("to %s: %q, %v", to, risk, must)
		}
	}
}
