package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// replyError is a reply of the server's that is no yes (RFC 5321, section 4.2).
type replyError struct {
	to   string // what it answers
	code int
	text string // on one line, with the enhanced status code (RFC 3463), if there is one
}

func (e *replyError) Error() string {
	s := strings.TrimSpace(fmt.Sprint(e.code, " ", e.text))
	if e.to != "" {
		s = e.to + ": " + s
	}
	if hint := e.hint(); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

// permanent says that the same will be refused again: 5xx. What is neither that
// nor 4xx is a server out of step, which passes.
func (e *replyError) permanent() bool { return e.code >= 500 && e.code < 600 }

// closes says that the connection is not to be used again: 421 says so, and from a
// reply that does not fit nothing good can follow.
func (e *replyError) closes() bool { return e.code == 421 || e.code < 400 || e.code > 599 }

// hint says what to do about a reply that the user's settings are behind.
func (e *replyError) hint() string {
	switch {
	case e.to == "AUTH" && e.code == 534:
		return "the provider wants another way to log in; often a password made for one app"
	case e.to == "AUTH" && e.permanent():
		return "check user and password; many providers want a password made for one app"
	case e.to == "MAIL FROM" && e.code == 530:
		return "the server wants a user and a password, or TLS"
	case e.to == "MAIL FROM" && e.permanent():
		return "may this user send as from?"
	}
	return ""
}

// asReply returns the server's reply that err is, or wraps.
func asReply(err error) *replyError {
	e, _ := errors.AsType[*replyError](err)
	return e
}

// classed gives err its class.
func classed(err error) error {
	if e := asReply(err); e != nil && e.permanent() {
		return action.Permanent(err)
	}
	return err
}

// failed says what has failed, and why: a reply, a time limit, a connection.
func (c *conn) failed(ctx context.Context, to string, err error) error {
	if err == nil {
		return nil
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return &replyError{to, reply.Code, c.line(reply.Msg)}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: no reply: %w", to, ctx.Err())
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: the server has closed the connection", to)
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return fmt.Errorf("%s: the reply is not SMTP's: %s", to, c.line(err.Error()))
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%s: %w", to, action.Untrusted(untrusted))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Errorf("%s: %w (does this port want security: starttls?)", to, err)
	}
	return fmt.Errorf("%s: %s", to, c.line(err.Error()))
}

// line makes a line of what the server has said. It may repeat what it was sent, of
// which no part that is secret may be left by the cut.
func (c *conn) line(said string) string {
	return action.OneLine(action.Redact(errors.New(said), c.secrets...).Error(), 200)
}

// refusedError is a mail that some or all of its recipients did not get.
type refusedError struct {
	refusals []refusal
	accepted int // for how many it was accepted
}

type refusal struct {
	address string
	reply   *replyError
}

func (e *refusedError) Error() string {
	const shown = 20
	var parts []string
	for i, r := range e.refusals {
		if i == shown {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.refusals)-shown))
			break
		}
		parts = append(parts, fmt.Sprintf("%s: %v", r.address, r.reply))
	}
	s := "not accepted for " + strings.Join(parts, "; ")
	if e.accepted > 0 {
		s += fmt.Sprintf(" (accepted for %d)", e.accepted)
	}
	return s
}

// classed is permanent if nobody would get the mail by another try.
func (e *refusedError) classed() error {
	for _, r := range e.refusals {
		if !r.reply.permanent() {
			return e
		}
	}
	return action.Permanent(e)
}
