// Package nats is the action that publishes to a stream of NATS JetStream.
package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/semaphore"
)

// inFlight is how many messages of a call are sent ahead of the answers. One that fails
// may be overtaken by so many less one, as nothing more is sent behind a failure.
const inFlight = 256

// Action publishes each delivery as a message, and waits until the stream has it. The
// header Nats-Msg-Id has the delivery's id, so that a stream drops a repeat.
type Action struct {
	config Config
	settings

	connecting *semaphore.Weighted // guards current
	current    *connection
}

var (
	_ action.TimeLimiter = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Batcher     = (*Action)(nil)
	_ action.Parallel    = (*Action)(nil)
	_ action.Templater   = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
)

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	s, err := c.check()
	if err != nil {
		return nil, err
	}
	return &Action{config: c, settings: s, connecting: semaphore.NewWeighted(1)}, nil
}

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration {
	if a.config.Timeout == 0 {
		return action.DefaultTimeout
	}
	return a.config.Timeout
}

// Batch implements action.Batcher.
func (*Action) Batch() (usual, most int) { return 1000, 10_000 }

// Parallel implements action.Parallel.
func (*Action) Parallel() {}

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template {
	all := map[string]*action.Template{"subject": a.subject}
	for name, t := range a.headers {
		all["headers."+name] = t
	}
	return all
}

// Close implements action.Closer. There is nothing to wait for: Deliver returns only
// once each message is answered, or given up with the connection.
func (a *Action) Close() error {
	if a.current != nil {
		a.current.nc.Close()
	}
	return nil
}

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	c, err := a.connection(ctx)
	if err != nil {
		return action.Redact(err, a.secrets...)
	}
	// Nothing may be sent once Deliver has returned: what is still in the client's
	// buffer goes with the connection. That also ends a write that hangs.
	release := context.AfterFunc(ctx, c.drop)
	errs := a.publish(ctx, c, batch)
	if !release() {
		c.drop() // it may not have come to that yet, and the next call is to have another one
	}
	for i, err := range errs {
		errs[i] = action.Redact(err, a.secrets...)
	}
	return action.Each(errs)
}

// publish sends the messages in order, and returns what became of each. After one that
// failed in a way that passes none is sent, so that order holds as far as it can.
func (a *Action) publish(ctx context.Context, c *connection, batch []action.Message) []error {
	errs := make([]error, len(batch))
	js, err := c.publisher()
	if err != nil {
		return slices.Repeat([]error{err}, len(batch))
	}
	defer c.free(js)
	sent := make([]*publication, 0, len(batch))
	var failure error
	settled := 0
	settle := func() {
		i := settled
		settled++
		if sent[i] == nil {
			return // it could not be sent
		}
		errs[i] = c.outcome(ctx, sent[i])
		if errs[i] != nil && !action.IsPermanent(errs[i]) && failure == nil {
			failure = errs[i]
		}
	}
	for _, m := range batch {
		if len(sent)-settled == inFlight {
			settle()
		}
		if failure != nil {
			break
		}
		var p *publication
		msg, err := a.message(m)
		if err == nil {
			p, err = c.publish(js, msg)
		}
		errs[len(sent)] = err
		sent = append(sent, p)
		if err != nil && !action.IsPermanent(err) {
			failure = err
		}
	}
	for settled < len(sent) {
		settle()
	}
	for i := len(sent); i < len(batch); i++ {
		errs[i] = fmt.Errorf("not sent, as one before it failed: %w", failure)
	}
	return errs
}

// message makes what is published of a delivery. Its errors are permanent.
func (a *Action) message(m action.Message) (*nats.Msg, error) {
	subject, err := a.subject.Render(m.Data)
	if err != nil {
		return nil, action.Permanent(fmt.Errorf("make the subject: %w", err))
	}
	if err := checkSubject(subject); err != nil {
		return nil, action.Permanent(fmt.Errorf("the subject %q %w (see the template in subject)", action.OneLine(subject, 100), err))
	}
	msg := nats.NewMsg(subject)
	for name, t := range a.headers {
		value, err := t.Render(m.Data)
		if err != nil {
			return nil, action.Permanent(fmt.Errorf("make the header %s: %w", name, err))
		}
		msg.Header.Set(name, value)
	}
	if a.config.Stream != "" {
		msg.Header.Set("Nats-Expected-Stream", a.config.Stream)
	}
	msg.Header.Set("Nats-Msg-Id", m.ID)
	if msg.Data = []byte(m.Text); !m.Custom {
		if msg.Data, err = m.JSON(); err != nil {
			return nil, action.Permanent(err)
		}
	}
	return msg, nil
}

// connection returns the one that is open, or opens one.
func (a *Action) connection(ctx context.Context) (*connection, error) {
	if err := a.connecting.Acquire(ctx, 1); err != nil {
		return nil, errors.New("stopped before it was connected")
	}
	defer a.connecting.Release(1)
	if a.current != nil && !a.current.nc.IsClosed() {
		return a.current, nil
	}
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	a.current = c
	return c, nil
}
