package email_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
	"github.com/journald-router/journald-router/journal"
)

// sent delivers the batch, which becomes one mail.
func sent(t *testing.T, c email.Config, batch ...action.Message) emailtest.Mail {
	t.Helper()
	s := start(t, emailtest.Options{Mechanisms: []string{"PLAIN"}, UTF8: true})
	if err := newAction(t, s, c).Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	mails := s.Mails()
	if len(mails) != 1 {
		t.Fatalf("%d mails, want one", len(mails))
	}
	return mails[0]
}

func TestMail(t *testing.T) {
	m := sent(t, email.Config{
		To: "Ops <ops@example.com>, ada@example.com", Cc: "bob@example.com", Bcc: "archive@example.com, ops@EXAMPLE.com",
		ReplyTo: "help@example.com", Subject: "[{{ .Host }}] {{ .Text | upper }}", HTML: `<p title="{{ .Text }}">{{ .Text }}</p>`,
	}, entry(1, "ada <ada@example.com> has signed up"))
	if diff := cmp.Diff([]string{"ops@example.com", "ada@example.com", "bob@example.com", "archive@example.com"}, m.To); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	if m.From != "router@example.com" || m.UTF8 || !m.Encrypted {
		t.Errorf("from %s, UTF8 %v, encrypted %v", m.From, m.UTF8, m.Encrypted)
	}
	for name, want := range map[string]string{
		"From":                     `"Router" <router@example.com>`,
		"To":                       `"Ops" <ops@example.com>, <ada@example.com>`,
		"Cc":                       "<bob@example.com>",
		"Bcc":                      "",
		"Reply-To":                 "<help@example.com>",
		"Subject":                  "[web1] ADA <ADA@EXAMPLE.COM> HAS SIGNED UP",
		"Message-Id":               "<00000000000000000000000000000001@example.com>",
		"Date":                     entry(1, "").Record.Time().Format(time.RFC1123Z),
		"Auto-Submitted":           "auto-generated",
		"Precedence":               "bulk",
		"X-Auto-Response-Suppress": "All",
		"Mime-Version":             "1.0",
		"User-Agent":               "journald-router",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, want := m.Text(), "ada <ada@example.com> has signed up\n"; got != want {
		t.Errorf("text %q, want %q", got, want)
	}
	if got, want := m.HTML(), `<p title="ada &lt;ada@example.com&gt; has signed up">ada &lt;ada@example.com&gt; has signed up</p>`+"\n"; got != want {
		t.Errorf("html %s\nwant %s", got, want)
	}
}

// TestMailOfAnEntry: the mail that an application sends by logging it.
func TestMailOfAnEntry(t *testing.T) {
	m := sent(t, email.Config{To: "{{ .Fields.MAIL_TO }}", Subject: "{{ .Fields.SUBJECT }}", AllowDomains: []string{"Example.com"}, AllowAddresses: []string{"Eve@example.org"}},
		entry(1, "Hello,\nwelcome.", `MAIL_TO="Ada L." <ada@EXAMPLE.com>, eve@example.org, `, "SUBJECT=Welcome, Ada"))
	if diff := cmp.Diff([]string{"ada@example.com", "eve@example.org"}, m.To); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	if m.Header("Subject") != "Welcome, Ada" || m.Header("To") != `"Ada L." <ada@EXAMPLE.com>, <eve@example.org>` || m.Text() != "Hello,\nwelcome.\n" {
		t.Errorf("%s", m.Data)
	}
}

func TestSubject(t *testing.T) {
	long := strings.Repeat("word ", 100)
	tests := []struct{ name, subject, want string }{
		{"line breaks", "one\r\nBcc: eve@example.com\n\nbody", "one Bcc: eve@example.com body"},
		{"odd bytes", "a\x00b\x1b[31m\xff\tc", "a b [31m? c"},
		{"letters", "Grüße an 漢字 😀", "Grüße an 漢字 😀"},
		{"a long one", long, long[:250] + "…"},
		{"a long word", strings.Repeat("x", 400), strings.Repeat("x", 250) + "…"},
		{"many letters", strings.Repeat("漢", 200), strings.Repeat("漢", 83) + "…"},
		{"looks encoded", "=?UTF-8?Q?not?=", "=?UTF-8?Q?not?="},
		{"empty", " \n", "signups"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := sent(t, email.Config{Subject: "{{ .Fields.SUBJECT }}"}, entry(1, "body", "SUBJECT="+tt.subject))
			if got := m.Header("Subject"); got != tt.want {
				t.Errorf("%q\nwant %q", got, tt.want)
			}
			if m.Text() != "body\n" || len(m.To) != 1 {
				t.Errorf("text %q, to %q", m.Text(), m.To)
			}
			checkLines(t, m)
		})
	}
	m := sent(t, email.Config{}, entry(1, strings.Repeat("long ", 50)))
	if got, want := m.Header("Subject"), "signups: "+strings.Repeat("long ", 24)+"…"; got != want {
		t.Errorf("default %q\nwant %q", got, want)
	}
}

// TestBodies: every byte of a text arrives, in lines that any server takes.
func TestBodies(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"NUL":           "a\x00b",
		"not UTF-8":     "a \xff\xfe b",
		"binary":        string([]byte{0, 1, 2, 200, 201, '\n', 255, 254, '.', '\n', '.', '\n'}),
		"dots":          ".\n..\n.x\nQUIT",
		"a long line":   strings.Repeat("x", 100_000),
		"spaces at end": "a  \n\tb\t\n",
		"letters":       strings.Repeat("漢字\n", 1000),
		"looks quoted":  "=20=3D a=",
		"from":          "From here\nFrom there",
		"large":         strings.Repeat("0123456789abcdef\n", 1<<16),
		"large, binary": strings.Repeat("\xf0\n\x01", 1<<18),
	} {
		t.Run(name, func(t *testing.T) {
			m := sent(t, email.Config{}, entry(1, text))
			want := text
			if !strings.HasSuffix(want, "\n") {
				want += "\n"
			}
			if got := m.Text(); got != want {
				t.Errorf("%d bytes became %d: %.60q, want %.60q", len(want), len(got), got, want)
			}
			checkLines(t, m)
		})
	}
}

// checkLines: RFC 5322, section 2.1.1, and a mail of ASCII alone.
func checkLines(t *testing.T, m emailtest.Mail) {
	t.Helper()
	for line := range bytes.SplitSeq(m.Data, []byte("\r\n")) {
		if len(line) > 998 {
			t.Fatalf("a line has %d bytes: %.60q", len(line), line)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return r > 126 || r < ' ' && r != '\t' }); i >= 0 {
			t.Fatalf("a line has %q: %.60q", line[i], line)
		}
	}
}

func TestDigest(t *testing.T) {
	one, two := entry(1, "ada has\nsigned up"), entry(2, "bob <b> has\r\n[2026-03-01] signed up")
	m := sent(t, email.Config{Subject: "{{ .Text }}", HTML: "<p>{{ .Text }}</p>"}, one, two)
	for name, want := range map[string]string{
		"Subject":    "2 entries of signups on web1",
		"Message-Id": "<e0522fcb9c755230eded7145162276c1@example.com>",
		"Date":       two.Record.Time().Format(time.RFC1123Z),
		"To":         "<ops@example.com>",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	at := func(m action.Message) string { return m.Record.Time().Format("2006-01-02 15:04:05 MST") }
	text := at(one) + ", web1, shop.service, signups\n  ada has\n  signed up\n\n" + at(two) + ", web1, shop.service, signups\n  bob <b> has\n  [2026-03-01] signed up\n"
	if diff := cmp.Diff(text, m.Text()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	html := "<h4>" + at(one) + ", web1, shop.service, signups</h4>\n<p>ada has\nsigned up</p>\n<h4>" + at(two) + ", web1, shop.service, signups</h4>\n<p>bob &lt;b&gt; has\n[2026-03-01] signed up</p>\n"
	if diff := cmp.Diff(html, m.HTML()); diff != "" {
		t.Errorf("html (-want +got):\n%s", diff)
	}
}

// TestNoHTML: where the template makes nothing, the text is what is shown; mail programs
// show the HTML where there is some, be it blank.
func TestNoHTML(t *testing.T) {
	c := email.Config{HTML: "{{ with .Fields.HTML }}<p>{{ . }}</p>{{ end }}\n"}
	if m := sent(t, c, entry(1, "plain")); m.HTML() != "" || m.Text() != "plain\n" {
		t.Errorf("%s", m.Data)
	}
	if m := sent(t, c, entry(1, "plain"), entry(2, "plain")); m.HTML() != "" {
		t.Errorf("%s", m.Data)
	}
	m := sent(t, c, entry(1, "plain <b>\n& so on"), entry(2, "plain", "HTML=rich"))
	if html := m.HTML(); !strings.Contains(html, "<pre>plain &lt;b&gt;\n&amp; so on</pre>\n") || !strings.Contains(html, "<p>rich</p>\n") {
		t.Errorf("%s", html)
	}
}

func TestDigestSubject(t *testing.T) {
	other := entry(3, "c")
	other.Rule = "orders"
	elsewhere := entry(4, "d")
	elsewhere.Record = journal.NewRecord("s=0;i=4", time.Unix(1_800_000_000, 0), 0, journal.Field{Name: journal.FieldHostname, Value: []byte("web2")})
	for _, tt := range []struct {
		subject string
		batch   []action.Message
		want    string
	}{
		{"Signups", []action.Message{entry(1, "a"), entry(2, "b")}, "2 entries: Signups"},
		{"", []action.Message{entry(1, "a"), entry(2, "b"), other}, "3 entries of signups, orders on web1"},
		{"", []action.Message{entry(1, "a"), elsewhere}, "2 entries of signups"},
	} {
		if got := sent(t, email.Config{Subject: tt.subject}, tt.batch...).Header("Subject"); got != tt.want {
			t.Errorf("%q of %d: %q, want %q", tt.subject, len(tt.batch), got, tt.want)
		}
	}
}

// TestGroups: what goes to different people goes in different mails.
func TestGroups(t *testing.T) {
	s := start(t, mechanisms)
	a := newAction(t, s, email.Config{To: "{{ .Fields.MAIL_TO }}", AllowDomains: []string{"example.com"}})
	var batch []action.Message
	for i, to := range []string{"ada", "bob", "ada", "eve@example.org,", "bob", "cy", "ada"} {
		if !strings.Contains(to, "@") {
			to += "@example.com"
		}
		batch = append(batch, entry(i, fmt.Sprint("for ", i), "MAIL_TO="+to))
	}
	errs := errorsOf(a.Deliver(t.Context(), batch), len(batch))
	for i, err := range errs {
		if (err != nil) != (i == 3) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := errs[3]; !action.IsPermanent(err) || !strings.Contains(err.Error(), "to: eve@example.org is neither in allow_domains nor in allow_addresses") {
		t.Errorf("%v", err)
	}
	var got []string
	for _, m := range s.Mails() {
		got = append(got, fmt.Sprint(m.To, " ", strings.Count(m.Text(), "for ")))
	}
	if diff := cmp.Diff([]string{"[ada@example.com] 3", "[bob@example.com] 2", "[cy@example.com] 1"}, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
}
