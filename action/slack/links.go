package slack

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxURL is how many characters of a URL are shown. Of a longer one it is the first
	// and the last, with … between them: the target of the link is the whole URL.
	maxURL   = 80
	urlBegin = 50
	urlEnd   = 25
)

// shortLink is for plain text, in which Slack makes links of URLs: only a long one is made
// one here.
func shortLink(url string) string {
	if target, label := linkOf(url); label != target {
		return "<" + target + "|" + label + ">"
	}
	return url
}

// anyLink is for text in which Slack makes nothing of URLs (see mrkdwn).
func anyLink(url string) string {
	target, label := linkOf(url)
	if label == target {
		return "<" + target + ">"
	}
	return "<" + target + "|" + label + ">"
}

// linkOf returns what the two sides of a link are. Scheme and host are shown whole, so that
// nobody is led elsewhere than he reads.
func linkOf(url string) (target, label string) {
	target = strings.ReplaceAll(url, "|", "%7C")
	shown := []rune(unescape(target))
	if len(shown) <= maxURL {
		return target, target
	}
	begin := urlBegin
	if host := utf8.RuneCountInString(unescape(target[:authorityEnd(target)])); host >= begin {
		begin = host + 1
	}
	if begin+urlEnd >= len(shown) {
		return target, target
	}
	return target, escaper.Replace(string(shown[:begin]) + "…" + string(shown[len(shown)-urlEnd:]))
}

// authorityEnd is where the host, and the port, of a URL end.
func authorityEnd(url string) int {
	begin := strings.Index(url, "://") + len("://")
	if n := strings.IndexAny(url[begin:], "/?#"); n >= 0 {
		return begin + n
	}
	return len(url)
}

// leadingURL is the URL that an escaped text begins with, or empty. What ends a sentence,
// a bracket or a quotation is not the URL's. It has read n bytes: none of them begins another.
func leadingURL(s string) (url string, n int) {
	scheme := 0
	for _, prefix := range []string{"http://", "https://"} {
		if strings.HasPrefix(s, prefix) {
			scheme = len(prefix)
		}
	}
	if scheme == 0 {
		return "", 0
	}
	url = s
	for i, r := range s {
		if i > 4*maxToken {
			return "", i // it would not be made a link anyway
		}
		if strings.ContainsRune("<>\"`\\^{}", r) || unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError ||
			strings.HasPrefix(s[i:], "&lt;") || strings.HasPrefix(s[i:], "&gt;") {
			url = s[:i]
			break
		}
	}
	n = len(url)
	for len(url) > scheme {
		r, size := utf8.DecodeLastRuneInString(url)
		if r == ')' && strings.Count(url, "(") >= strings.Count(url, ")") || r == ';' && strings.HasSuffix(url, "&amp;") {
			break
		}
		if !strings.ContainsRune(".,;:!?'*_~|)]…", r) {
			break
		}
		url = url[:len(url)-size]
	}
	if len(url) <= scheme || strings.ContainsRune("/?#&:@", rune(url[scheme])) {
		return "", 0
	}
	return url, n
}
