package nats

import (
	"cmp"
	"crypto/tls"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Config is the action's section of the configuration.
type Config struct {
	// URL has the servers, as nats://host:4222, or tls:// where TLS is a must; they are
	// tried in this order. The port may be left out: 4222. Required.
	URL []string `yaml:"url,required"`
	// Subject is a template; see subject. Required.
	Subject string `yaml:"subject,required"`
	// Stream is the name of the stream that has to keep the messages: another one
	// refuses them. Default: whichever takes the subject.
	Stream string `yaml:"stream"`
	// Domain is the JetStream domain to look for the stream in. Only Probe asks that.
	Domain string `yaml:"domain"`
	// Headers are templates of further headers of a message. Nats-Msg-Id,
	// Nats-Expected-... and Nats-Batch-... cannot be set.
	Headers map[string]string `yaml:"headers"`

	// User and Password, or Token, or NKey or Creds say who the router is. None is for a
	// server that asks for nothing, or for a certificate (TLS).
	User     string        `yaml:"user"`
	Password action.Secret `yaml:"password"`
	Token    action.Secret `yaml:"token"`
	// NKey is a user's seed, which begins with SU.
	NKey action.Secret `yaml:"nkey"`
	// Creds is what a .creds file has in it: a user's JWT and seed.
	Creds action.Secret `yaml:"creds"`

	// TLS is for the connection. Without it, it is TLS if the server wants that, or the
	// URL says tls.
	TLS action.TLS `yaml:"tls"`
	// InboxPrefix is where answers come to, where the user may not subscribe to
	// _INBOX.>. Default: _INBOX.
	InboxPrefix string `yaml:"inbox_prefix"`
	// Timeout is the time limit of one Deliver: connecting if need be, and until all
	// messages are acknowledged. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// settings are a Config that has been checked.
type settings struct {
	subject   *action.Template
	headers   map[string]*action.Template
	tls       *tls.Config
	authorize []nats.Option
	secrets   []string // what an error may not say
}

// check parses the settings, and reports everything that is wrong with them.
func (c Config) check() (settings, error) {
	var s settings
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	if len(c.URL) == 0 {
		refuse("url", "is missing", "write the server's address: url: nats://nats.example.com:4222")
	}
	for _, one := range c.URL {
		if problem, hint := checkURL(one); problem != "" {
			refuse("url", problem, hint)
			break
		}
	}
	var err error
	if s.subject, err = parseSubject(c.Subject); err != nil {
		errs = append(errs, err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		t, err := parseHeader(name, c.Headers[name])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.headers == nil {
			s.headers = make(map[string]*action.Template)
		}
		s.headers[name] = t
	}
	if c.Stream != "" && !isName(c.Stream) {
		refuse("stream", "is no name for a stream", "a name has no space, dot, *, > or slash in it: stream: LOGS; what goes to it is the subject's matter")
	}
	if c.Domain != "" && !isName(c.Domain) {
		refuse("domain", "is no name for a JetStream domain", "it is what the server has as domain in its section jetstream; leave it out if there is none")
	}
	if c.InboxPrefix != "" && checkSubject(c.InboxPrefix) != nil {
		refuse("inbox_prefix", "is not the beginning of a subject", "write tokens joined by dots, without * or >: inbox_prefix: _INBOX_router")
	}
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 30s, or leave it out")
	}
	if s.tls, err = c.TLS.Config(); err != nil {
		errs = append(errs, err)
	}
	s.authorize, s.secrets = c.credentials(refuse)
	return s, errors.Join(errs...)
}

func checkURL(text string) (problem, hint string) {
	const example = "write it like nats://nats.example.com:4222"
	// The parser's error shows the URL, and in it perhaps a secret.
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "is not a URL", example
	case u.Scheme != "nats" && u.Scheme != "tls":
		return "does not begin with nats:// or tls://", example + "; several are a list: [nats://a:4222, nats://b:4222]"
	case u.User != nil:
		return "has a user or a token in it", "write them as user and password, or as token, which are kept out of every error"
	case u.Hostname() == "":
		return "has no host", example
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", strings.Contains(u.Host, ","):
		return "has more in it than a host and a port", example + "; several are a list: [nats://a:4222, nats://b:4222]"
	case strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "["):
		return "has more colons than one", "an IPv6 address is in brackets, as nats://[::1]:4222"
	}
	if port, err := strconv.ParseUint(cmp.Or(u.Port(), "4222"), 10, 16); err != nil || port == 0 {
		return "has a port that cannot be", "a port is a number from 1 to 65535; 4222 may be left out"
	}
	return "", ""
}

// credentials are the options that show who the router is.
func (c Config) credentials(refuse func(key, problem, hint string)) (options []nats.Option, secrets []string) {
	var used []string
	for _, one := range []struct {
		key string
		set bool
	}{{"user", c.User != "" || c.Password != ""}, {"token", c.Token != ""}, {"nkey", c.NKey != ""}, {"creds", c.Creds != ""}} {
		if one.set {
			used = append(used, one.key)
		}
	}
	if len(used) > 1 {
		refuse(used[1], "cannot go with "+used[0], "keep the one that the server asks for: user and password, token, nkey or creds")
		return nil, nil
	}
	switch {
	case c.User != "" && c.Password == "":
		refuse("password", "is missing", "a user has one: password: ${credential:nats-password}")
	case c.User == "" && c.Password != "":
		refuse("user", "is missing", "the password is that of a user: user: router")
	case c.User != "":
		options, secrets = []nats.Option{nats.UserInfo(c.User, c.Password.Reveal())}, []string{c.Password.Reveal()}
	case c.Token != "":
		options, secrets = []nats.Option{nats.Token(c.Token.Reveal())}, []string{c.Token.Reveal()}
	case c.NKey != "":
		// A file has a line's end, perhaps several, behind it.
		seed := strings.TrimSpace(c.NKey.Reveal())
		public, err := publicKey([]byte(seed))
		if err != nil {
			refuse("nkey", "is not the seed of a user's NKey", "a seed begins with SU; nsc generate nkey --user makes one")
			return nil, nil
		}
		sign := func(nonce []byte) ([]byte, error) {
			pair, err := nkeys.FromSeed([]byte(seed))
			if err != nil {
				return nil, err
			}
			defer pair.Wipe()
			return pair.Sign(nonce)
		}
		options, secrets = []nats.Option{nats.Nkey(public, sign)}, []string{seed}
	case c.Creds != "":
		file := []byte(c.Creds.Reveal())
		jwt, err := nkeys.ParseDecoratedJWT(file)
		pair, keyErr := nkeys.ParseDecoratedNKey(file)
		if err != nil || keyErr != nil || jwt == "" {
			refuse("creds", "does not have a user's JWT and seed in it", "give what is in the .creds file, not its path: creds: ${credential:nats-creds}, or ${file:/etc/journald-router/nats.creds}")
			return nil, nil
		}
		seed, _ := pair.Seed()
		options, secrets = []nats.Option{nats.UserCredentialBytes(file)}, []string{jwt, string(seed)}
		pair.Wipe()
	}
	return options, secrets
}

func publicKey(seed []byte) (string, error) {
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err == nil && !nkeys.IsValidPublicUserKey(public) {
		err = errors.New("another kind of key")
	}
	return public, err
}

// isName tells whether a stream or a domain can be named so.
func isName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	})
}

// notInName are the characters beside spaces that the client takes in no header's name.
const notInName = `"()/,:;<=>?@[\]{}`

// parseHeader parses a template whose insertions cannot end the header.
func parseHeader(name, text string) (*action.Template, error) {
	e := &action.FieldError{Key: "headers." + name}
	switch {
	case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(notInName, r) }):
		e.Problem, e.Hint = "is not a header's name", "use letters, digits and -"
		return nil, e
	case strings.EqualFold(name, jetstream.MsgIDHeader):
		e.Problem, e.Hint = "cannot be set", "it is the delivery's id, by which JetStream can tell a repeat"
		return nil, e
	case strings.HasPrefix(strings.ToLower(name), "nats-expected-"):
		e.Problem, e.Hint = "cannot be set", "the stream that is expected is the setting stream; the others would refuse messages after a restart"
		return nil, e
	case strings.HasPrefix(strings.ToLower(name), "nats-batch-"):
		e.Problem, e.Hint = "cannot be set", "each delivery is a message by itself, which the stream has to acknowledge"
		return nil, e
	}
	t, err := action.ParseTemplate(text, oneLine)
	if err != nil {
		e.Problem, e.Hint = "has a bad "+err.Error(), "docs/CONFIGURATION.md, section text, has what a template may say"
		return nil, e
	}
	return t, nil
}

// oneLine has spaces for line breaks and other control characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
