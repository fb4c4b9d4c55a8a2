package slack

import (
	"strings"
	"testing"
)

// render is a text as Slack is given it.
func render(s string, link func(string) string) string {
	var b strings.Builder
	for t := range tokens(s, link) {
		b.WriteString(t.text)
	}
	return b.String()
}

func TestLinks(t *testing.T) {
	path := strings.Repeat("0123456789", 10)
	long := "https://shop.example.com/orders/" + path
	label := "https://shop.example.com/orders/012345678901234567…5678901234567890123456789"
	host := "https://" + strings.Repeat("a", 60) + ".example.com"
	host50 := "https://" + strings.Repeat("a", 30) + ".example.com"
	tests := []struct{ name, text, want string }{
		{"none", "order 4711 failed", "order 4711 failed"},
		{"short", "see https://example.com/a?b=1&amp;c=2.", "see <https://example.com/a?b=1&amp;c=2>."},
		{"long", long, "<" + long + "|" + label + ">"},
		{"long, with an entity where it is shortened", "https://shop.example.com/orders/01234567890123456&amp;" + path,
			"<https://shop.example.com/orders/01234567890123456&amp;" + path + "|https://shop.example.com/orders/01234567890123456&amp;…5678901234567890123456789>"},
		{"a host that is long is shown whole", host + "/" + path, "<" + host + "/" + path + "|" + host + "/…5678901234567890123456789>"},
		{"one of 50 characters", host50 + "/" + path, "<" + host50 + "/" + path + "|" + host50 + "/…5678901234567890123456789>"},
		{"one that leaves nothing to leave out", host + "/" + path[:25], "<" + host + "/" + path[:25] + ">"},
		{"one that leaves one character", host + "/" + path[:26], "<" + host + "/" + path[:26] + "|" + host + "/…1234567890123456789012345>"},
		{"a user that looks like a host", "https://bank.example.com@" + host[8:] + "/" + path,
			"<https://bank.example.com@" + host[8:] + "/" + path + "|https://bank.example.com@" + host[8:] + "/…5678901234567890123456789>"},
		{"two", "http://a.example,http://b.example", "<http://a.example,http://b.example>"},
		{"in brackets", "(see https://a.example/x_(y)) [https://b.example]", "(see <https://a.example/x_(y)>) [<https://b.example>]"},
		{"in angle brackets that were logged", "&lt;https://a.example&gt;", "&lt;<https://a.example>&gt;"},
		{"in quotes", `"https://a.example" 'http://b.example'`, `"<https://a.example>" '<http://b.example>'`},
		{"bold", "*https://a.example*", "*<https://a.example>*"},
		{"a character that ends a link's target", "https://a.example/x|y&gt;z", "<https://a.example/x%7Cy>&gt;z"},
		{"the user's link", "<https://a.example/" + path + "|order>", "<https://a.example/" + path + "|order>"},
		{"the user's link, without words", "<https://a.example>", "<https://a.example>"},
		{"code", "`curl https://a.example` https://b.example", "`curl https://a.example` <https://b.example>"},
		{"a code block", "```\ncurl https://a.example\n``` https://b.example", "```\ncurl https://a.example\n``` <https://b.example>"},
		{"a code block that does not end", "```\ncurl https://a.example", "```\ncurl <https://a.example>"},
		{"a backtick alone", "it`s https://a.example", "it`s <https://a.example>"},
		{"no host", "http:// https:///x http://?x http://&amp;x", "http:// https:///x http://?x http://&amp;x"},
		{"the end of a statement", "https://a.example/x; https://b.example/?c&amp;", "<https://a.example/x>; <https://b.example/?c&amp;>"},
		{"in a word", "xhttps://a.example", "xhttps://a.example"},
		{"upper case", "HTTPS://A.example", "HTTPS://A.example"},
		{"no space, but it ends", "https://a.example\u00a0x https://b.example\u202ex https://c.example\u200bx", "<https://a.example>\u00a0x <https://b.example>\u202ex <https://c.example>\u200bx"},
		{"too long for a link", "https://a.example/" + strings.Repeat("x", 2000), "https://a.example/" + strings.Repeat("x", 2000)},
		{"within one that is too long", "https://a.example/" + strings.Repeat("x", 2000) + "?https://b.example https://c.example", "https://a.example/" + strings.Repeat("x", 2000) + "?https://b.example <https://c.example>"},
		{"a < that begins nothing", "a < b <\nc> <> <", "a &lt; b &lt;\nc> &lt;> &lt;"},
		{"no link", "<b>bold</b> <javascript:x|y> <https:x|y> <!> <mailto:a@b.example>", "&lt;b>bold&lt;/b> &lt;javascript:x|y> &lt;https:x|y> &lt;!> <mailto:a@b.example>"},
		{"spaces in a target", "<https://a.example/b c\td|e f> <https://a.example/b\u00a0c> <!date^1^{time} x|y z>", "<https://a.example/b%20c%09d|e f> <https://a.example/b%C2%A0c> <!date^1^{time} x|y z>"},
		{"words of several lines", "<https://a.example|a\nb> <https://a.example\n|b>", "<https://a.example|a\nb> &lt;<https://a.example>\n|b>"},
		{"mark-up in what looks like it", "<<!here>>", "&lt;<!here>>"},
	}
	for _, tt := range tests {
		got := render(tt.text, anyLink)
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
		if again := render(got, anyLink); again != got {
			t.Errorf("%s: rendered again, it is\n%s", tt.name, again)
		}
	}
	if got, want := render("https://a.example "+long, shortLink), "https://a.example <"+long+"|"+label+">"; got != want {
		t.Errorf("as plain text:\n got %s\nwant %s", got, want)
	}
}

// TestLinksTakeNoTime: what somebody logs to keep the router busy.
func TestLinksTakeNoTime(t *testing.T) {
	for _, evil := range []string{"https://", "http://a", "`", "```", "`` ", "&", "(", "https://a)"} {
		s := strings.Repeat(evil, 1<<20/len(evil))
		if parts, left := split(s, anyLink, maxSection, maxParts); len(parts) != maxParts || left == 0 {
			t.Errorf("%q: %d parts, %d left", evil, len(parts), left)
		}
		cut(s, shortLink, maxText)
	}
	// Each ) at the end of a URL is compared with all its brackets.
	split("https://a"+strings.Repeat(")", 8<<20), anyLink, maxSection, maxParts)
}
