package email_test

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
)

// FuzzEntry: whatever an entry says, its mail goes to nobody who is not allowed, has no
// header that the action does not write, and carries the text.
func FuzzEntry(f *testing.F) {
	for _, to := range []string{"ada@example.com", "Ada <ada@example.com>, bob@example.org", "g: a@example.com, b@example.com;",
		`"a b"@example.com`, "a@[1.2.3.4]", "=?UTF-8?Q?=C3=84?= <a@example.com>", "a@example.com\r\nBcc: x@y.z", "ü@example.com"} {
		f.Add(to, "Welcome\r\nBcc: eve@example.org\r\n\r\nbody", "text\r\n.\r\nMAIL FROM:<x@y.z>\x00\xff\r\r")
	}
	a, err := email.New(email.Config{Host: "h", From: "Shop <shop@example.com>", To: "{{ .Fields.MAIL_TO }}", Subject: "{{ .Fields.SUBJECT }}", HTML: "<p>{{ .Text }}</p>",
		AllowDomains: []string{"example.com"}, AllowAddresses: []string{"bob@example.org"}})
	if err != nil {
		f.Fatal(err)
	}
	headers := []string{"From", "To", "Subject", "Message-Id", "Date", "User-Agent", "X-Mailer", "Auto-Submitted", "Precedence", "X-Auto-Response-Suppress", "Mime-Version", "Content-Type"}
	f.Fuzz(func(t *testing.T, to, subject, text string) {
		paths, data, err := a.Compose(entry(1, text, "MAIL_TO="+to, "SUBJECT="+subject))
		if err != nil {
			return
		}
		if len(paths) == 0 {
			t.Error("it goes to nobody")
		}
		for _, p := range paths {
			local, domain, _ := strings.Cut(p, "@")
			if (domain != "example.com" && !strings.EqualFold(p, "bob@example.org")) || local == "" || strings.ContainsAny(p, " <>\r\n\x00%!") {
				t.Errorf("it goes to %q", p)
			}
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%v:\n%s", err, data)
		}
		for name := range parsed.Header {
			if !slices.Contains(headers, name) {
				t.Errorf("it has a header %q", name)
			}
		}
		if strings.Contains(strings.ReplaceAll(string(data), "\r\n", ""), "\r") || strings.Contains(strings.ReplaceAll(string(data), "\r\n", ""), "\n") {
			t.Errorf("a line break is half of one: %q", data)
		}
		for line := range strings.SplitSeq(string(data), "\r\n") {
			if len(line) > 998 {
				t.Errorf("a line has %d bytes", len(line))
			}
		}
		want := text
		if !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		want = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(want)
		if got := (emailtest.Mail{Data: data}).Text(); got != want {
			t.Errorf("text %q, want %q", got, want)
		}
	})
}
