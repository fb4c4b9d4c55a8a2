// Package email is the action that sends mail through an SMTP server: a mail for
// each delivery, or one digest of several.
package email

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/mail"
	"time"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration. It needs host, from and one
// of to, cc and bcc.
type Config struct {
	// Host is the SMTP server's name or address.
	Host string `yaml:"host,required"`
	// Port is the server's. Default: 587, for tls 465 and for none 25.
	Port int `yaml:"port"`
	// Security says how the connection is encrypted: see Security. Default: StartTLS,
	// at port 465 TLS.
	Security Security `yaml:"security"`
	// TLS is whom to trust, and how to show who the router is.
	TLS action.TLS `yaml:"tls"`
	// User and Password are for servers that want them: both or neither. The mechanism
	// is what both sides know: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN or CRAM-MD5;
	// over an unencrypted connection, unless it stays within the machine, never one
	// that sends the password itself.
	User     string        `yaml:"user"`
	Password action.Secret `yaml:"password"`
	// Hello is the name to introduce the router by. Default: the machine's name if it
	// has a dot in it, else its address.
	Hello string `yaml:"hello"`
	// Timeout is the time limit of one call, replies included: of all the mails that
	// its deliveries become. Default: 2m, as a server may check a mail for long before
	// it says that it has it, and a reply that is not waited for is a mail twice.
	Timeout time.Duration `yaml:"timeout"`

	// From is the sender: an address, or a name and an address as in
	// "Shop <shop@example.com>". What cannot be delivered comes back to it.
	From string `yaml:"from,required"`
	// To, Cc and Bcc are the recipients: addresses as in From, separated by commas.
	// Each is a template.
	To  string `yaml:"to"`
	Cc  string `yaml:"cc"`
	Bcc string `yaml:"bcc"`
	// AllowDomains and AllowAddresses are whom a To, Cc or Bcc that is more than fixed
	// text may come to: the domains themselves, without those below them, and single
	// addresses. Such a template needs one of them. The domain "*" is any: then only the
	// pinned rules keep mail from going to anybody.
	AllowDomains   []string `yaml:"allow_domains"`
	AllowAddresses []string `yaml:"allow_addresses"`
	// ReplyTo is where answers go: addresses as in From.
	ReplyTo string `yaml:"reply_to"`
	// Subject is a template. Default: DefaultSubject.
	Subject string `yaml:"subject"`
	// HTML is a template for a body in HTML beside the text: a fragment, as a digest has
	// several. What it inserts is escaped for where it stands.
	HTML string `yaml:"html"`
}

// A Security is how a connection is encrypted.
type Security string

const (
	// StartTLS begins in the clear and wants STARTTLS before anything else is said: a
	// server that does not offer it gets no mail.
	StartTLS Security = "starttls"
	// TLS is encrypted from the first byte on.
	TLS Security = "tls"
	// None is not encrypted.
	None Security = "none"
)

// DefaultSubject is the template of the subject where the user has none.
const DefaultSubject = "{{ .Rule }}: {{ .Text | truncate 120 }}"

// DefaultTimeout is the time limit where the user has none.
const DefaultTimeout = 2 * time.Minute

// Action sends one delivery as one mail, and several as one for all that go to the
// same recipients. The Message-ID is made of the delivery's id, or of the ids.
type Action struct {
	config  Config
	address string // host:port
	tls     *tls.Config
	secrets []string // what an error may not say

	from          *mail.Address
	replyTo       []*mail.Address
	to, cc, bcc   *recipients // nil without the setting
	subject, html *action.Template
	allowed       allowList
	templates     map[string]*action.Template
	fromTheEntry  bool // who gets the mail
	kept          kept
}

var (
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Batcher     = (*Action)(nil)
	_ action.Fitter      = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Templater   = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
	_ action.Pinned      = (*Action)(nil)
)

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.config.Timeout == 0 {
		return DefaultTimeout
	}
	return a.config.Timeout
}

// Close implements action.Closer.
func (a *Action) Close() error {
	a.kept.close()
	return nil
}

// Batch implements action.Batcher. What is too large for the server goes in parts.
func (a *Action) Batch() (usual, most int) { return 1, 500 }

// mostMails is how many mails one call makes, so that its time limit does not end in
// the middle of them: a server that is far away, and slow, takes seconds for each.
const mostMails = 20

// Fit implements action.Fitter.
func (a *Action) Fit(batch []action.Message) int {
	if !a.fromTheEntry {
		return len(batch)
	}
	mails := make(map[string]bool)
	for i, m := range batch {
		if to, err := a.recipientsOf(m); err == nil {
			mails[to.key()] = true
		}
		if len(mails) > mostMails {
			return i
		}
	}
	return len(batch)
}

// Parallel implements action.Parallel.
func (*Action) Parallel() {}

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template { return a.templates }

// Pin implements action.Pinned.
func (a *Action) Pin() (risk string, must bool) {
	if a.fromTheEntry {
		return "choose who gets mail from", true
	}
	return "", false
}

// Probe implements action.Prober: it connects and says who the sender is, as for a
// mail, and takes its leave.
func (a *Action) Probe(ctx context.Context) error {
	c, err := a.connect(ctx)
	if err == nil {
		err = c.mail(ctx, envelope{from: a.from.Address, utf8: !isASCII(a.from.Address)})
		c.leave(err)
	}
	return a.explain(err)
}

// explain says where err comes from, and nothing that is secret.
func (a *Action) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("mail through %s: %w", a.address, action.Redact(err, a.secrets...))
}
