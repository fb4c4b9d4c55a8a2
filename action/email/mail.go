package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// maxSubject bounds the subject, in bytes.
const maxSubject = 250

// envelope makes the mail of letters that go to the same recipients: one as it is,
// several as a digest.
func (a *Action) envelope(group []letter) (envelope, error) {
	first := group[0]
	m := gomail.NewMsg()
	m.FromMailAddress(a.from)
	m.ToMailAddress(first.to.to...)
	m.CcMailAddress(first.to.cc...)
	if len(a.replyTo) > 0 {
		m.ReplyToMailAddress(a.replyTo...)
	}
	setSubject(m, subject(group))
	m.SetMessageIDWithValue(id(group) + "@" + a.domain())
	m.SetDateWithValue(date(group))
	m.SetUserAgent(action.UserAgent)
	// No answers by machines: RFC 3834, section 5; Precedence and
	// X-Auto-Response-Suppress are for those that do not know it.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBulk()
	text, html := first.Text, first.html
	if len(group) > 1 {
		text, html = digest(group)
	}
	text = withEnd(text)
	m.SetBodyString(gomail.TypeTextPlain, mailLines.Replace(text), gomail.WithPartEncoding(encoding(text)))
	if html != "" {
		html = withEnd(html)
		m.AddAlternativeString(gomail.TypeTextHTML, mailLines.Replace(html), gomail.WithPartEncoding(encoding(html)))
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return envelope{}, fmt.Errorf("write the mail: %w", err)
	}
	return envelope{
		from: a.from.Address,
		to:   first.rest,
		utf8: a.needsUTF8(first.to),
		data: b.Bytes(),
	}, nil
}

// needsUTF8 says whether an address in the envelope or a header has more than ASCII.
func (a *Action) needsUTF8(to addresses) bool {
	for _, list := range [][]*mail.Address{{a.from}, a.replyTo, to.to, to.cc, to.bcc} {
		if slices.ContainsFunc(list, func(one *mail.Address) bool { return !isASCII(one.Address) }) {
			return true
		}
	}
	return false
}

// domain is what comes behind the @ in a Message-ID.
func (a *Action) domain() string {
	if domain := a.from.Address[strings.LastIndexByte(a.from.Address, '@')+1:]; isASCII(domain) {
		return domain
	}
	return action.UserAgent
}

// id names the mail: by the delivery's id, or a hash of several. The same deliveries
// have the same; after a failure they may go together otherwise.
func id(group []letter) string {
	if len(group) == 1 {
		return group[0].ID
	}
	h := sha256.New()
	for _, l := range group {
		io.WriteString(h, l.ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// date is when the last entry was logged.
func date(group []letter) time.Time {
	var last time.Time
	for _, l := range group {
		if t := l.Record.Time(); t.After(last) {
			last = t
		}
	}
	if last.Unix() <= 0 {
		return time.Now()
	}
	return last
}

// subject is one line. That of a digest says how many entries there are, and of what.
func subject(group []letter) string {
	text := oneSubject(group[0])
	if len(group) == 1 {
		return text
	}
	same, host := true, value(group[0], journal.FieldHostname)
	var rules []string
	for _, l := range group {
		same = same && oneSubject(l) == text
		if host != value(l, journal.FieldHostname) {
			host = ""
		}
		if !slices.Contains(rules, l.Rule) {
			rules = append(rules, l.Rule)
		}
	}
	if same {
		return fmt.Sprintf("%d entries: %s", len(group), text)
	}
	text = fmt.Sprintf("%d entries of %s", len(group), strings.Join(rules, ", "))
	if host != "" {
		text += " on " + host
	}
	return action.OneLine(text, maxSubject)
}

func oneSubject(l letter) string {
	if text := action.OneLine(l.subject, maxSubject); text != "" {
		return text
	}
	return l.Rule
}

// setSubject keeps ASCII as it is, in lines of 76 bytes where it has spaces, and makes
// encoded words (RFC 2047) of the rest; also of what only looks like such a word.
func setSubject(m *gomail.Msg, text string) {
	if isASCII(text) && !strings.Contains(text, "=?") {
		m.SetGenHeader(gomail.HeaderSubject, text)
		return
	}
	const most = 45 // bytes in a word: 60 in base64, and 12 around them
	var words []string
	for text != "" {
		n := min(most, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(text[:n]))+"?=")
		text = text[n:]
	}
	m.SetGenHeaderPreformatted(gomail.HeaderSubject, strings.Join(words, "\r\n "))
}

// digest puts letters one after another, each below a line that says when and where it
// was logged. The text is indented, so that no entry can look as if it were several. In
// the HTML, which is shown instead of the text, one that has none has its text.
func digest(group []letter) (text, html string) {
	var t, h strings.Builder
	for i, l := range group {
		if i > 0 {
			t.WriteByte('\n')
		}
		head := heading(l)
		t.WriteString(head)
		t.WriteByte('\n')
		for line := range strings.Lines(withEnd(unixLines.Replace(l.Text))) {
			t.WriteString("  ")
			t.WriteString(line)
		}
		inHTML := l.html
		if inHTML == "" {
			inHTML = "<pre>" + escapeHTML.Replace(l.Text) + "</pre>"
		}
		fmt.Fprintf(&h, "<h4>%s</h4>\n%s\n", escapeHTML.Replace(head), inHTML)
	}
	if !slices.ContainsFunc(group, func(l letter) bool { return l.html != "" }) {
		return t.String(), ""
	}
	return t.String(), h.String()
}

var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func heading(l letter) string {
	parts := []string{l.Record.Time().Format("2006-01-02 15:04:05 MST")}
	for _, part := range []string{value(l, journal.FieldHostname), value(l, journal.FieldUnit), l.Rule} {
		if part = action.OneLine(part, 100); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

func value(l letter, field string) string {
	v, _ := l.Record.Get(field)
	return string(v)
}

func withEnd(text string) string {
	if strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// unixLines makes line breaks of one kind, and mailLines the kind that text in a mail
// has whatever its encoding (RFC 2046, section 4.1.1).
var (
	unixLines = strings.NewReplacer("\r\n", "\n", "\r", "\n")
	mailLines = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n")
)

// encoding is the shorter of the two that keep every byte, and lines below 80:
// quoted-printable has three bytes for one beyond ASCII, base64 four for three.
func encoding(text string) gomail.Encoding {
	odd := 0
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			odd++
		}
	}
	if odd > len(text)/6 {
		return gomail.EncodingB64
	}
	return gomail.EncodingQP
}
