package email

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

const (
	// dialTimeout is how long a server may take to accept a connection.
	dialTimeout = 30 * time.Second
	// quitTimeout is how long it may take to say goodbye.
	quitTimeout = time.Second
)

// conn is a connection on which mails can be sent: the server has greeted, and what
// the settings want of TLS and AUTH is done.
type conn struct {
	raw     *socket // where deadlines end all that goes on above it
	secrets []string
	smtp    *smtp.Client
	size    int  // how large a mail the server takes (RFC 1870); 0 if it does not say
	utf8    bool // the server takes addresses beyond ASCII (RFC 6531)
	idle    *time.Timer
}

func (a *Action) newConn(raw net.Conn) *conn {
	return &conn{raw: &socket{Conn: raw}, secrets: a.secrets}
}

// maxSaid is how much a server may say in one step, in bytes: what is no mail server may
// never come to the end of a reply, which is kept in memory until then.
const maxSaid = 1 << 20

var errSaysTooMuch = errors.New("the reply has no end (is that a mail server?)")

// socket is a network connection that can be read from no further than to a limit.
type socket struct {
	net.Conn
	left int // bytes
}

func (s *socket) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, errSaysTooMuch
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// connect makes a connection. Any error may wrap a *replyError.
func (a *Action) connect(ctx context.Context) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	raw, err := d.DialContext(ctx, "tcp", a.address)
	if err != nil {
		return nil, err
	}
	c := a.newConn(raw)
	release := c.bind(ctx)
	err = a.open(ctx, c)
	if !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// bind lets the end of ctx end what the connection waits for, until release is
// called; that says whether the connection can be used further.
func (c *conn) bind(ctx context.Context) (release func() bool) {
	c.raw.SetDeadline(time.Time{})
	c.raw.left = maxSaid
	return context.AfterFunc(ctx, func() { c.raw.SetDeadline(time.Unix(1, 0)) })
}

func (a *Action) open(ctx context.Context, c *conn) error {
	security, transport := a.config.Security, net.Conn(c.raw)
	if security == TLS {
		t := tls.Client(c.raw, a.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			return c.failed(ctx, "TLS", err)
		}
		transport = t
	}
	var err error
	if c.smtp, err = smtp.NewClient(transport, a.config.Host); err != nil {
		err = c.failed(ctx, "greeting", err)
		if ctx.Err() != nil && security == StartTLS {
			err = fmt.Errorf("%w (does this port want security: tls?)", err)
		}
		return err
	}
	if err := c.smtp.Hello(cmp.Or(a.config.Hello, helloName(c.raw))); err != nil {
		return c.failed(ctx, "EHLO", err)
	}
	if security == StartTLS {
		if ok, _ := c.smtp.Extension("STARTTLS"); !ok {
			return errors.New("the server offers no STARTTLS, without which nothing is sent (security: tls is for port 465; none sends in the clear)")
		}
		if err := c.smtp.StartTLS(a.tls); err != nil {
			return c.failed(ctx, "STARTTLS", err)
		}
	}
	if err := a.login(ctx, c); err != nil {
		return err
	}
	_, size := c.smtp.Extension("SIZE")
	c.size, _ = strconv.Atoi(strings.TrimSpace(size))
	c.utf8, _ = c.smtp.Extension("SMTPUTF8")
	return nil
}

// login proves who the router is, if the user has said how.
func (a *Action) login(ctx context.Context, c *conn) error {
	user, password, host := a.config.User, a.config.Password.Reveal(), a.config.Host
	if user == "" {
		return nil
	}
	safe := a.config.Security != None || isLoopback(c.raw)
	_, offered := c.smtp.Extension("AUTH")
	known := strings.Fields(strings.ToUpper(offered))
	for _, m := range []struct {
		name string
		open bool // it sends the password itself
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", false, smtp.ScramSHA256Auth(user, password)},
		{"SCRAM-SHA-1", false, smtp.ScramSHA1Auth(user, password)},
		{"PLAIN", true, smtp.PlainAuth("", user, password, host, true)},
		{"LOGIN", true, smtp.LoginAuth(user, password, host, true)},
		{"CRAM-MD5", false, smtp.CRAMMD5Auth(user, password)},
	} {
		if slices.Contains(known, m.name) && (safe || !m.open) {
			return c.failed(ctx, "AUTH", c.smtp.Auth(m.auth))
		}
	}
	if offered == "" {
		return errors.New("the server lets nobody log in here, and there is a user (leave out user and password, or take the port for senders, mostly 587)")
	}
	if !safe {
		return fmt.Errorf("the password is not sent over an unencrypted connection, and the server knows no other way but %s (leave out security: none)", offered)
	}
	return fmt.Errorf("the server knows no way to log in that the router knows, but %s", offered)
}

func isLoopback(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// helloName is a name of the machine that others can do something with, or else its
// address (RFC 5321, section 4.1.4).
func helloName(c net.Conn) string {
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") && isHost(name) && isASCII(name) {
		return name
	}
	a, ok := c.LocalAddr().(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case a.IP.To4() != nil:
		return "[" + a.IP.String() + "]"
	}
	return "[IPv6:" + a.IP.String() + "]"
}

// serverTLS is the user's TLS settings for that server.
func serverTLS(config *tls.Config, host string) *tls.Config {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = strings.Trim(host, "[]")
	}
	return config
}

// quit says goodbye, and closes the connection.
func (c *conn) quit() {
	c.raw.SetDeadline(time.Now().Add(quitTimeout))
	c.raw.left = maxSaid
	c.smtp.Quit()
	c.raw.Close()
}

// leave is quit after a step that had this outcome: who did not answer that would not
// say goodbye either.
func (c *conn) leave(err error) {
	if err == nil || asReply(err) != nil {
		c.quit()
		return
	}
	c.raw.Close()
}
