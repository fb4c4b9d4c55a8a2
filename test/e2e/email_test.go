package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/email/emailtest"
	"github.com/journald-router/journald-router/journal/journaltest"
)

func startMail(t *testing.T) *emailtest.Server {
	t.Helper()
	s, err := emailtest.Start(t.TempDir(), emailtest.Options{Mechanisms: []string{"PLAIN", "LOGIN"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// mailConfig sends what is logged to whom the entry says.
func mailConfig(s *emailtest.Server, more string) string {
	return fmt.Sprintf(`
actions:
  mail:
    email:
      host: localhost
      port: %d
      user: %s
      password: %s
      tls: {ca: %s}
      from: "Shop <shop@example.com>"
      to: "{{ .Fields.MAIL_TO }}"
      subject: "{{ .Fields.SUBJECT }}"
      allow_domains: [example.com]
    retry: {min: 10ms, max: 100ms}
%s
rules:
  - {name: mail, match: {_UID: 0, MAIL_TO: {exists: true}}, actions: [mail]}
`, s.Port(), emailtest.User, emailtest.Password, s.CA, more)
}

// TestEmail: an application sends a mail by logging an entry, over STARTTLS and with a
// password; but not to anybody.
func TestEmail(t *testing.T) {
	s := startMail(t)
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, mailConfig(s, ""))
	p.run("check", "--connect")
	if n := len(s.Mails()); n > 0 {
		t.Errorf("check --connect has sent %d mails", n)
	}
	p.startReady()
	j.Send(journaltest.Fields("MAIL_TO", "eve@example.org", "SUBJECT", "buy now", "MESSAGE", "spam")...)
	j.Send(journaltest.Fields("MAIL_TO", "Ada <ada@example.com>, bob@example.com", "SUBJECT", "Welcome,\nÄda", "MESSAGE", "Hello,\n\nthis is all.")...)
	waitFor(t, "the mail", func() bool { return len(s.Mails()) > 0 })
	p.stop()
	if n := len(s.Mails()); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
	m := s.Mails()[0]
	got := fmt.Sprintf("%s to %s, encrypted %v\nTo: %s\nSubject: %s\n\n%s", m.From, m.To, m.Encrypted, m.Header("To"), m.Header("Subject"), m.Text())
	want := "shop@example.com to [ada@example.com bob@example.com], encrypted true\nTo: \"Ada\" <ada@example.com>, <bob@example.com>\nSubject: Welcome, Äda\n\nHello,\n\nthis is all.\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if dead := p.run("dead", "list", "--output", "json"); !strings.Contains(dead, "eve@example.org is neither in allow_domains nor in allow_addresses") {
		t.Errorf("dead letters: %s", dead)
	}
	if strings.Contains(p.log.String(), emailtest.Password) {
		t.Error("the password is in the log")
	}
}

// TestEmailStops: the server is stopped and started again in the middle of a stream,
// and so is the router, by SIGKILL. Every mail arrives, and a repeat can be told.
func TestEmailStops(t *testing.T) {
	for name, more := range map[string]string{"one mail each": "", "digests": "    batch: {max: 20}"} {
		t.Run(name, func(t *testing.T) {
			const lines = 300
			s := startMail(t)
			j := journaltest.Start(t, journaltest.Options{})
			p := newProgram(t, j, mailConfig(s, more))
			p.startReady()
			write := func(from, to int) {
				for n := from; n < to; n++ {
					j.Send(journaltest.Fields("MAIL_TO", "ada@example.com", "SUBJECT", fmt.Sprint(n), "MESSAGE", fmt.Sprintf("line %03d.", n))...)
				}
			}
			arrived := func() (n int) {
				for _, m := range s.Mails() {
					n += strings.Count(m.Text(), "line ")
				}
				return n
			}
			write(0, 100)
			waitFor(t, "some mails", func() bool { return arrived() >= 50 })
			s.Stop()
			write(100, 200)
			waitFor(t, "the router to notice", func() bool { return p.says("connection refused") > 0 })
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			before := arrived()
			waitFor(t, "more mails", func() bool { return arrived() > before })
			p.kill()
			p.startReady()
			write(200, lines)
			all := func() (missing int) {
				text := new(strings.Builder)
				for _, m := range s.Mails() {
					text.WriteString(m.Text())
				}
				for n := range lines {
					if !strings.Contains(text.String(), fmt.Sprintf("line %03d.", n)) {
						missing++
					}
				}
				return missing
			}
			waitFor(t, "all mails", func() bool { return all() == 0 })
			p.stop()
			// Who keeps one mail for each Message-ID has nothing twice.
			kept := make(map[string]string)
			for _, m := range s.Mails() {
				id := m.Header("Message-Id")
				if text, ok := kept[id]; ok && text != m.Text() {
					t.Errorf("%s is both %q and %q", id, text, m.Text())
				}
				kept[id] = m.Text()
			}
			t.Logf("%d lines in %d mails, %d Message-IDs", arrived(), len(s.Mails()), len(kept))
			if name == "one mail each" && len(kept) != lines {
				t.Errorf("%d Message-IDs for %d lines", len(kept), lines)
			}
			// Lines come again only with a call that was broken off by the server's end,
			// or by the router's, which is two at most.
			if again, most := arrived()-lines, 3*max(1, strings.Count(more, "20")*20); again > most {
				t.Errorf("%d lines came again, want at most %d", again, most)
			}
		})
	}
}
