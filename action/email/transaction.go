package email

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"net/textproto"
	"time"

	"github.com/journald-router/journald-router/action"
)

// reuseTimeout is how long a connection that was kept may take to answer. One whose
// other end is gone would not for minutes, and a new one is soon made.
const reuseTimeout = 10 * time.Second

// envelope is a mail, and where it goes.
type envelope struct {
	from string
	to   []string
	utf8 bool // some address has more than ASCII
	data []byte
}

// result is what became of a mail.
type result struct {
	// taken are the recipients that the server has accepted it for.
	taken []string
	// err is nil if those are all; it bears its class.
	err error
	// down says that err is about the server, or what it thinks of the router, and that
	// any other mail would have fared alike.
	down bool
	// content says that what the mail holds is refused for good.
	content bool
}

var errNoUTF8 = errors.New("an address has other letters than ASCII's, and the server takes no such (SMTPUTF8)")

// sizeError is a mail that the server has said before it would not take.
type sizeError struct{ mail, most int }

func (e *sizeError) Error() string {
	return fmt.Sprintf("the mail has %d bytes, and the server takes %d at most", e.mail, e.most)
}

// send hands the mail over once.
func (a *Action) send(ctx context.Context, e envelope) result {
	c, err := a.begin(ctx, e)
	if _, tooLarge := errors.AsType[*sizeError](err); tooLarge {
		return result{err: action.Permanent(err), content: true}
	}
	if errors.Is(err, errNoUTF8) {
		return result{err: action.Permanent(err)}
	}
	if err != nil {
		return result{err: classed(err), down: true}
	}
	accepted, refused, err := c.recipients(ctx, e.to)
	if err != nil {
		c.raw.Close()
		return result{err: err, down: true}
	}
	if len(accepted) == 0 {
		a.giveBack(ctx, c)
		return result{err: refused.classed()}
	}
	err = c.data(ctx, e.data)
	switch reply := asReply(err); {
	case err == nil:
		if ctx.Err() != nil { // its end may yet reach the connection
			c.raw.Close()
		} else {
			a.kept.put(c)
		}
		if refused == nil {
			return result{taken: accepted}
		}
		refused.accepted = len(accepted)
		return result{taken: accepted, err: refused.classed()}
	case reply == nil || reply.closes():
		c.raw.Close()
		return result{err: err, down: true}
	default:
		a.giveBack(ctx, c)
		return result{err: classed(err), content: reply.permanent()}
	}
}

// begin opens a transaction for the mail, on a connection that was kept or a new one.
func (a *Action) begin(ctx context.Context, e envelope) (*conn, error) {
	if c := a.kept.take(); c != nil {
		if err := c.takes(e); err != nil {
			a.kept.put(c)
			return nil, err
		}
		quick, cancel := context.WithTimeout(ctx, reuseTimeout)
		defer cancel()
		if c.mail(quick, e) == nil {
			return c, nil
		}
		// The server has closed it, is gone, or takes no more on this one, in whatever words:
		// what counts is what it says to a new one.
		c.raw.Close()
	}
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.takes(e); err != nil {
		a.kept.put(c)
		return nil, err
	}
	if err = c.mail(ctx, e); err == nil {
		return c, nil
	}
	c.leave(err)
	return nil, err
}

// giveBack keeps a connection on which a transaction was not brought to its end.
func (a *Action) giveBack(ctx context.Context, c *conn) {
	if err := c.do(ctx, "RSET", c.smtp.Reset); err != nil {
		c.raw.Close()
		return
	}
	a.kept.put(c)
}

// do is one step of the conversation; the end of ctx ends it.
func (c *conn) do(ctx context.Context, what string, step func() error) error {
	release := c.bind(ctx)
	err := step()
	if !release() && err == nil {
		err = ctx.Err()
	}
	return c.failed(ctx, what, err)
}

// takes says why the server would not take the mail, by what it has said of itself.
func (c *conn) takes(e envelope) error {
	switch {
	case c.size > 0 && len(e.data) > c.size:
		return &sizeError{len(e.data), c.size}
	case e.utf8 && !c.utf8:
		return errNoUTF8
	}
	return nil
}

func (c *conn) mail(ctx context.Context, e envelope) error {
	c.smtp.SkipSMTPUTF8(!e.utf8)
	return c.do(ctx, "MAIL FROM", func() error { return c.smtp.Mail(path(e.from)) })
}

// recipients offers the mail to each. refused is nil if all are accepted; err means
// that the connection is of no more use.
func (c *conn) recipients(ctx context.Context, to []string) (accepted []string, refused *refusedError, err error) {
	for _, one := range to {
		err := c.do(ctx, "RCPT TO", func() error { return c.smtp.Rcpt(path(one)) })
		reply := asReply(err)
		switch {
		case err == nil:
			accepted = append(accepted, one)
		case reply == nil || reply.closes():
			return nil, nil, err
		default:
			if refused == nil {
				refused = new(refusedError)
			}
			reply.to = ""
			refused.refusals = append(refused.refusals, refusal{one, reply})
		}
	}
	return accepted, refused, nil
}

// data sends the mail itself. The server has it once it has answered the end.
func (c *conn) data(ctx context.Context, data []byte) error {
	var w io.WriteCloser
	err := c.do(ctx, "DATA", func() (err error) {
		w, err = c.smtp.Data()
		return err
	})
	if err != nil {
		return err
	}
	// Not by do: once the server has said yes, it has the mail, also if ctx ends just then.
	release := c.bind(ctx)
	_, broken := w.Write(data)
	err = w.Close()
	// A server that hangs up in the middle may have said why.
	if _, said := errors.AsType[*textproto.Error](err); broken != nil && !said {
		err = broken
	}
	release()
	return c.failed(ctx, "end of DATA", err)
}

// path is an address as SMTP has it: quoted where it must be, in angle brackets.
func path(address string) string { return (&mail.Address{Address: address}).String() }
