package email

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"github.com/journald-router/journald-router/action"
)

const (
	// maxRecipients is how many a mail has at most: as many as each server must take
	// (RFC 5321, section 4.5.3.1.8).
	maxRecipients = 100
	// maxAddress is how long an address can be: as a path, with its brackets, 256 bytes
	// (RFC 5321, section 4.5.3.1.3).
	maxAddress = 254
	// maxName bounds the name beside an address.
	maxName = 100
)

// recipients are one of the settings to, cc and bcc.
type recipients struct {
	fixed    []*mail.Address
	template *action.Template // nil if they are fixed
}

// addresses are the three kinds of recipients of one mail.
type addresses struct{ to, cc, bcc []*mail.Address }

// recipientsOf returns who is to get the message. Any error is permanent.
func (a *Action) recipientsOf(m action.Message) (addresses, error) {
	var all addresses
	for _, one := range []struct {
		key string
		of  *recipients
		to  *[]*mail.Address
	}{{"to", a.to, &all.to}, {"cc", a.cc, &all.cc}, {"bcc", a.bcc, &all.bcc}} {
		if one.of == nil {
			continue
		}
		if *one.to = one.of.fixed; one.of.template == nil {
			continue
		}
		var err error
		if *one.to, err = a.rendered(one.of.template, m.Data); err != nil {
			return addresses{}, fmt.Errorf("%s: %w", one.key, err)
		}
	}
	switch n := len(all.paths()); {
	case n == 0:
		return addresses{}, errors.New("the entry names nobody to send the mail to")
	case n > maxRecipients:
		return addresses{}, fmt.Errorf("the mail has %d recipients, and %d at most go", n, maxRecipients)
	}
	return all, nil
}

func (a *Action) rendered(t *action.Template, data action.Data) ([]*mail.Address, error) {
	text, err := t.Render(data)
	if err != nil {
		return nil, err
	}
	list, err := parseAddresses(text)
	if err != nil {
		return nil, err
	}
	for _, one := range list {
		if !a.allowed.has(one.Address) {
			return nil, fmt.Errorf("%s is neither in allow_domains nor in allow_addresses", action.OneLine(one.Address, maxAddress))
		}
	}
	return list, nil
}

// parseAddresses reads addresses that are separated by commas. None is no error.
func parseAddresses(text string) ([]*mail.Address, error) {
	text = strings.Trim(text, ", \t\r\n")
	if text == "" {
		return nil, nil
	}
	list, err := mail.ParseAddressList(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no list of mail addresses", action.OneLine(text, 200))
	}
	for _, one := range list {
		if err := checkAddress(one); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func parseAddress(text string) (*mail.Address, error) {
	one, err := mail.ParseAddress(text)
	if err != nil {
		return nil, err
	}
	return one, checkAddress(one)
}

// checkAddress refuses what net/mail accepts and a server would stumble over, or take
// for an order to pass the mail on to elsewhere (user%other@here, RFC 5321, appendix
// F.2), and makes the name fit for a header.
func checkAddress(one *mail.Address) error {
	if len(one.Address) > maxAddress || strings.Count(one.Address, "@") != 1 || strings.ContainsFunc(one.Address, func(r rune) bool {
		return r <= ' ' || r == unicode.ReplacementChar || !unicode.IsPrint(r) || strings.ContainsRune(`<>"\%!`, r)
	}) {
		return fmt.Errorf("%q is no mail address", action.OneLine(one.Address, 200))
	}
	one.Name = action.OneLine(one.Name, maxName)
	return nil
}

// paths are the addresses as SMTP has them, each once.
func (l addresses) paths() []string {
	var paths []string
	seen := make(map[string]bool)
	for _, kind := range [][]*mail.Address{l.to, l.cc, l.bcc} {
		for _, one := range kind {
			at := strings.LastIndexByte(one.Address, '@')
			p := one.Address[:at] + lower(one.Address[at:])
			if !seen[p] {
				seen[p] = true
				paths = append(paths, p)
			}
		}
	}
	return paths
}

// key is the same for the same recipients in the same headers.
func (l addresses) key() string {
	var b strings.Builder
	for _, kind := range [][]*mail.Address{l.to, l.cc, l.bcc} {
		for _, one := range kind {
			b.WriteString(one.String())
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// isASCII says that a server needs no SMTPUTF8 (RFC 6531) for the address.
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}
