package email_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
	"github.com/journald-router/journald-router/journal"
)

var passwordAsSent = base64.StdEncoding.EncodeToString([]byte("\x00" + emailtest.User + "\x00" + emailtest.Password))

func TestContract(t *testing.T) {
	for _, security := range []email.Security{email.StartTLS, email.TLS} {
		for _, html := range []string{"", "<p>{{ .Rule }}</p>"} {
			t.Run(string(security)+html, func(t *testing.T) {
				actiontest.Run(t, actiontest.Harness{
					Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
						return destination(t, mood, email.Config{Security: security, HTML: html})
					},
					Cannot:  map[actiontest.Mood]string{actiontest.Busy: "a reply of SMTP's names no time"},
					Secrets: []string{emailtest.Password, passwordAsSent},
					Repeat:  "is a second mail with the same Message-ID",
				})
			})
		}
	}
}

func destination(t *testing.T, mood actiontest.Mood, c email.Config) actiontest.Destination {
	s := start(t, mechanisms)
	reached := make(chan struct{}, 10)
	ended := s.Ended()
	s.Obey(func(stage emailtest.Stage, argument string) error {
		switch {
		case mood == actiontest.Failing && stage == emailtest.From:
			return emailtest.Reply(451, "4.3.0 try again later")
		case mood == actiontest.Refusing && stage == emailtest.To:
			return emailtest.Reply(550, "5.1.1 no such user")
		case mood == actiontest.Hanging && stage == emailtest.Data:
			reached <- struct{}{}
			<-ended
		case mood == actiontest.Echoing && stage == emailtest.Auth:
			return emailtest.Reply(535, "5.7.8 not "+argument+" AUTH PLAIN "+passwordAsSent)
		}
		return nil
	})
	return actiontest.Destination{
		Action: newAction(t, s, c),
		Accepted: func() (texts []string) {
			for _, m := range s.Mails() {
				texts = append(texts, m.Text())
			}
			return texts
		},
		Reached: reached,
		Heal:    func() { s.Obey(nil) },
	}
}

// mechanisms are those of a server that most tests are content with.
var mechanisms = emailtest.Options{Mechanisms: []string{"PLAIN"}}

func start(t *testing.T, o emailtest.Options) *emailtest.Server {
	t.Helper()
	s, err := emailtest.Start(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// newAction fills in what c does not say: the server, its user, a sender, a recipient.
func newAction(t *testing.T, s *emailtest.Server, c email.Config) *email.Action {
	t.Helper()
	a, err := email.New(settings(s, c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func settings(s *emailtest.Server, c email.Config) email.Config {
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Security == "" {
		c.Security = email.StartTLS
	}
	if c.Port == 0 {
		c.Port = s.Port()
		if c.Security == email.TLS {
			c.Port = s.TLSPort()
		}
	}
	if c.Security != email.None && c.TLS == (action.TLS{}) {
		c.TLS.CA = s.CA
	}
	if c.User == "" {
		c.User, c.Password = emailtest.User, emailtest.Password
	}
	if c.From == "" {
		c.From = "Router <router@example.com>"
	}
	if c.To+c.Cc+c.Bcc == "" {
		c.To = "ops@example.com"
	}
	return c
}

// entry is the n-th of a series, with its fields as NAME=VALUE.
func entry(n int, text string, fields ...string) action.Message {
	list := []journal.Field{
		{Name: journal.FieldMessage, Value: []byte(text)},
		{Name: journal.FieldHostname, Value: []byte("web1")},
		{Name: journal.FieldUnit, Value: []byte("shop.service")},
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		list = append(list, journal.Field{Name: name, Value: []byte(value)})
	}
	at := time.Date(2026, 3, 1, 12, 0, n, 0, time.UTC)
	m := action.Message{
		ID: fmt.Sprintf("%032x", n), Rule: "signups", Text: text,
		Record: journal.NewRecord(fmt.Sprintf("s=0;i=%x", n), at, 0, list...),
	}
	m.Data = action.NewData(m.ID, m.Rule, text, nil, m.Record)
	return m
}

// errorsOf is what Deliver says of each message.
func errorsOf(err error, n int) []error {
	errs := make([]error, n)
	if each, ok := err.(*action.BatchError); ok {
		return each.Errs
	}
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func portOf(s *emailtest.Server) string { return fmt.Sprint(s.Port()) }

func TestTimeLimit(t *testing.T) {
	c := email.Config{Host: "h", From: "a@b", To: "a@b"}
	for _, tt := range []struct{ set, want time.Duration }{{0, email.DefaultTimeout}, {time.Minute, time.Minute}} {
		c.Timeout = tt.set
		a, err := email.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.TimeLimit(); got != tt.want {
			t.Errorf("timeout %v: %v, want %v", tt.set, got, tt.want)
		}
	}
}
