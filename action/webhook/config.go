package webhook

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// check parses the settings, and reports everything that is wrong with them.
func (c Config) check() (target *url.URL, header http.Header, security *tls.Config, err error) {
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	// The parser's error shows the URL, and in it perhaps a secret.
	target, parseErr := url.Parse(c.URL)
	switch {
	case c.URL == "":
		refuse("url", "is missing", "write the address to post to: url: https://example.com/hook")
	case parseErr != nil:
		refuse("url", "is not a URL", "write it like https://example.com/hook; in a user name or password, escape special characters: %40 for @")
	case target.Scheme != "http" && target.Scheme != "https":
		refuse("url", "does not begin with http:// or https://", "write it like https://example.com/hook")
	case target.Hostname() == "":
		refuse("url", "has no host", "write it like https://example.com/hook")
	}
	header = make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		canonical, value := http.CanonicalHeaderKey(name), c.Headers[name].Reveal()
		key := "headers." + name
		switch {
		case !validName(name):
			refuse(key, "is not a header's name", "use letters, digits and -")
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			refuse(key, "has a line break or another control character in its value", "if it comes from a file, that should have one line")
		case slices.Contains([]string{"Content-Length", "Transfer-Encoding", "Trailer", "Connection"}, canonical):
			refuse(key, "cannot be set", "it is a matter of the connection; leave it out")
		case canonical == "Idempotency-Key":
			refuse(key, "cannot be set", "it is the delivery's id, by which the destination can tell a repeat")
		case header.Get(canonical) != "":
			refuse(key, "is set twice", "the case of letters makes no difference in a header's name")
		default:
			header.Set(canonical, value)
		}
	}
	switch c.Format {
	case Single, Array, NDJSON:
	default:
		refuse("format", "is neither array nor ndjson", "leave it out for one delivery a request")
	}
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 30s, or leave it out")
	}
	scheme := "https"
	if parseErr == nil {
		scheme = target.Scheme
	}
	security, err = c.TLS.ConfigFor(scheme)
	return target, header, security, errors.Join(append(errs, err)...)
}

// validName tells whether name is a token as RFC 9110, section 5.6.2, has it.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// secrets are the parts of a request that an error may not repeat, even if the
// destination's reply does: what is in the URL beside the host, as a whole and
// in parts, and the values of the user's headers.
func secrets(target *url.URL, header http.Header) (list []string) {
	if target.Path != "/" {
		list = append(list, target.RequestURI(), target.EscapedPath(), target.Path)
	}
	for part := range strings.SplitSeq(target.Path, "/") {
		// Short ones are words like "api", which a reply may well say.
		if len(part) >= 16 {
			list = append(list, part)
		}
	}
	list = append(list, target.RawQuery)
	for _, values := range target.Query() {
		list = append(list, values...)
	}
	if target.User != nil {
		password, _ := target.User.Password()
		user := target.User.Username()
		list = append(list, target.User.String(), user, password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	for _, values := range header {
		list = append(list, values...)
	}
	return list
}
