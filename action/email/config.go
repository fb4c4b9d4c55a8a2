package email

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	a := &Action{config: c, templates: make(map[string]*action.Template)}
	var s settings
	a.takeServer(&s)
	a.takeRecipients(&s)
	a.takeContent(&s)
	if c.Timeout < 0 {
		s.refuse("timeout", "is negative", "write a time like 2m, or leave it out")
	}
	if err := errors.Join(s.errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// settings gathers what is wrong with them.
type settings struct{ errs []error }

func (s *settings) refuse(key, problem, hint string) {
	s.errs = append(s.errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
}

// ports are the usual ones.
var ports = map[Security]int{StartTLS: 587, TLS: 465, None: 25}

func (a *Action) takeServer(s *settings) {
	c := &a.config
	if c.Security == "" {
		c.Security = StartTLS
		if c.Port == ports[TLS] {
			c.Security = TLS
		}
	}
	if ports[c.Security] == 0 {
		s.refuse("security", "is none of starttls, tls, none", "leave it out for STARTTLS, or at port 465 TLS from the first byte on")
	}
	if c.Port < 0 || c.Port > 65535 {
		s.refuse("port", "is no port", "write a number from 1 to 65535, or leave it out")
	}
	if c.Port == 0 {
		c.Port = ports[c.Security]
	}
	switch {
	case c.Host == "":
		s.refuse("host", "is missing", "write the mail server's name: host: smtp.example.com")
	case !isASCII(c.Host):
		s.refuse("host", "has letters that no name in DNS has", "write it as DNS has it, with xn-- at its beginning")
	case !isHost(c.Host) || strings.Contains(c.Host, "IPv6:"):
		s.refuse("host", "is no name or address of a server", "write it like smtp.example.com; the port goes into port")
	}
	a.address = net.JoinHostPort(strings.Trim(c.Host, "[]"), strconv.Itoa(c.Port))
	if c.Hello != "" && !(isHost(c.Hello) && isASCII(c.Hello)) {
		s.refuse("hello", "is no name of a machine", "write it like mail.example.com, or leave it out")
	}
	a.takeLogin(s)
	config, err := c.TLS.Config()
	switch {
	case err != nil:
		s.errs = append(s.errs, err)
	case c.Security == None && c.TLS != (action.TLS{}):
		s.refuse("tls", "cannot go with security: none", "leave out the one or the other")
	case c.Security != None:
		a.tls = serverTLS(config, c.Host)
	}
}

func (a *Action) takeLogin(s *settings) {
	user, password := a.config.User, a.config.Password.Reveal()
	switch {
	case user == "" && password != "":
		s.refuse("password", "is there without user", "add user, or leave it out")
	case user != "" && password == "":
		s.refuse("user", "is there without password", "add password: ${credential:smtp-password}, or leave it out")
	case strings.ContainsAny(user+password, "\x00\r\n"):
		s.refuse("password", "or user has a line break in it", "if it comes from a file, that should have one line")
	case password != "":
		// As PLAIN and LOGIN send it.
		a.secrets = []string{password, base64.StdEncoding.EncodeToString([]byte(password)),
			base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))}
	}
}

// isHost tells whether name could be that of a machine, or an address, also one in
// brackets.
func isHost(name string) bool {
	if bare, ok := strings.CutPrefix(name, "["); ok {
		bare, ok = strings.CutSuffix(bare, "]")
		bare = strings.TrimPrefix(bare, "IPv6:")
		return ok && net.ParseIP(bare) != nil
	}
	if net.ParseIP(name) != nil {
		return true
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`@/:,;<>"()[]\`, r)
	})
}

func (a *Action) takeRecipients(s *settings) {
	c := a.config
	var err error
	if a.from, err = parseAddress(c.From); err != nil {
		s.refuse("from", "is no mail address", `write it like shop@example.com, or "Shop <shop@example.com>"`)
	}
	if a.replyTo, err = parseAddresses(c.ReplyTo); err != nil {
		s.refuse("reply_to", err.Error(), "write it like shop@example.com; several are separated by commas")
	}
	if c.To+c.Cc+c.Bcc == "" {
		s.refuse("to", "is missing", "write who gets the mail: to: ops@example.com")
	}
	a.to = a.takeTemplate(s, "to", c.To)
	a.cc = a.takeTemplate(s, "cc", c.Cc)
	a.bcc = a.takeTemplate(s, "bcc", c.Bcc)
	a.countFixed(s)
	a.takeAllowed(s)
}

func (a *Action) takeTemplate(s *settings, key, text string) *recipients {
	if text == "" {
		return nil
	}
	t, err := action.ParseTemplate(text, nil)
	if err != nil {
		s.refuse(key, fmt.Sprintf("is a bad %v", err), "it is one or several addresses, or a template for them: "+`"{{ .Fields.MAIL_TO }}"`)
		return nil
	}
	a.templates[key] = t
	if !t.Fixed() {
		a.fromTheEntry = true
		return &recipients{template: t}
	}
	fixed, err := parseAddresses(text)
	if err == nil && len(fixed) == 0 {
		err = errors.New("has no address")
	}
	if err != nil {
		s.refuse(key, err.Error(), "write it like ops@example.com; several are separated by commas")
	}
	return &recipients{fixed: fixed}
}

// countFixed refuses more recipients than any mail may have.
func (a *Action) countFixed(s *settings) {
	var all addresses
	key, most := "", 0
	for _, one := range []struct {
		key string
		of  *recipients
	}{{"to", a.to}, {"cc", a.cc}, {"bcc", a.bcc}} {
		if one.of == nil {
			continue
		}
		all.to = append(all.to, one.of.fixed...)
		if n := len(one.of.fixed); n > most {
			key, most = one.key, n
		}
	}
	if n := len(all.paths()); n > maxRecipients {
		s.refuse(key, fmt.Sprintf("makes %d recipients of each mail, and %d at most go", n, maxRecipients), "write the address of a mailing list, or have several actions")
	}
}

func (a *Action) takeAllowed(s *settings) {
	c := a.config
	for _, domain := range c.AllowDomains {
		if domain == anyDomain {
			a.allowed.all = true
			continue
		}
		if !isHost(domain) || strings.Contains(domain, "*") || slices.Contains(strings.Split(domain, "."), "") {
			s.refuse("allow_domains", fmt.Sprintf("has %q, which is no domain", domain), "write it like example.com; those below it do not count as it")
			return
		}
		a.allowed.domains = append(a.allowed.domains, lower(domain))
	}
	for _, address := range c.AllowAddresses {
		one, err := mail.ParseAddress(address)
		if err != nil || one.Name != "" {
			s.refuse("allow_addresses", fmt.Sprintf("has %q, which is no mail address", address), "write it like ada@example.com")
			return
		}
		a.allowed.addresses = append(a.allowed.addresses, lower(one.Address))
	}
	switch given := len(c.AllowDomains)+len(c.AllowAddresses) > 0; {
	case a.fromTheEntry && !given:
		key := "to"
		for _, r := range []struct {
			key string
			*recipients
		}{{"bcc", a.bcc}, {"cc", a.cc}, {"to", a.to}} {
			if r.recipients != nil && r.template != nil {
				key = r.key
			}
		}
		s.refuse(key, "takes addresses from the entry, and so could be anybody's", "say whom mail may go to: allow_domains: [example.com], or allow_addresses: [ada@example.com]")
	case given && !a.fromTheEntry && len(s.errs) == 0:
		key := "allow_addresses"
		if len(c.AllowDomains) > 0 {
			key = "allow_domains"
		}
		s.refuse(key, "is of no use here", "leave it out: it is for recipients that come from the entry, and these are fixed")
	}
}

func (a *Action) takeContent(s *settings) {
	subject := a.config.Subject
	if subject == "" {
		subject = DefaultSubject
	}
	var err error
	if a.subject, err = action.ParseTemplate(subject, nil); err != nil {
		s.refuse("subject", fmt.Sprintf("is a bad %v", err), `it is a template: "{{ .Rule }} on {{ .Host }}"`)
	} else {
		a.templates["subject"] = a.subject
	}
	if a.config.HTML == "" {
		return
	}
	if a.html, err = action.ParseHTMLTemplate(a.config.HTML); err != nil {
		s.refuse("html", fmt.Sprintf("is a bad %v", err), `it is a template: "<p>{{ .Text }}</p>"`)
	} else {
		a.templates["html"] = a.html
	}
}

// anyDomain in the place of a domain allows all of them.
const anyDomain = "*"

// An allowList is who may get mail that an entry names the recipients of; in lower
// case.
type allowList struct {
	domains, addresses []string
	all                bool
}

func (l allowList) has(address string) bool {
	address = lower(address)
	return l.all || slices.Contains(l.addresses, address) || slices.Contains(l.domains, address[strings.LastIndexByte(address, '@')+1:])
}

// lower is strings.ToLower for ASCII alone: other letters that have one of ASCII as
// their lower case, as the sign of the Kelvin has k, make another domain.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
