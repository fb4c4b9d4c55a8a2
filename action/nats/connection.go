package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// connectTime is how long one server may take to connect to, its TLS and its
	// answer to the credentials included, or less if the time limit leaves less to each
	// that is left; then the next one is tried.
	connectTime = 5 * time.Second
	// pingEvery is how often an idle server is asked whether it is there. After two
	// pings without an answer the connection is given up.
	pingEvery = 20 * time.Second
)

// A connection is one to one server, which is never mended: the client's own way of
// reconnecting keeps what it is given meanwhile, and would send it after Deliver has
// said that it failed. The next Deliver makes a new one.
type connection struct {
	host   string
	nc     *nats.Conn
	dialer *dialer
	closed chan struct{}

	mu sync.Mutex
	// cause is what the server, or the client, said before it closed.
	cause error
	// waiting are those to whom the server's refusal of a subject matters: it comes as
	// an error of the connection that names the subject, and in the place of an answer.
	waiting map[string]map[chan error]bool
	// idle are publishers that no call uses.
	idle []jetstream.JetStream
}

// connect tries the servers in turn.
func (a *Action) connect(ctx context.Context) (*connection, error) {
	var causes []string
	permanent := true
	for i, server := range a.config.URL {
		limit := connectTime
		if deadline, ok := ctx.Deadline(); ok {
			limit = min(limit, time.Until(deadline)/time.Duration(len(a.config.URL)-i))
		}
		c, err := a.connectTo(ctx, server, limit)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect to %s: stopped before it was connected: %w", host(server), ctx.Err())
		}
		permanent = permanent && action.IsPermanent(err)
		causes = append(causes, fmt.Sprintf("connect to %s: %v", host(server), err))
	}
	err := errors.New(strings.Join(causes, "; "))
	if permanent {
		return nil, action.Permanent(err)
	}
	return nil, err
}

func (a *Action) connectTo(ctx context.Context, server string, limit time.Duration) (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit.Round(time.Millisecond)))
	defer cancel()
	c := &connection{
		host: host(server), dialer: &dialer{ctx: ctx},
		closed: make(chan struct{}), waiting: make(map[string]map[chan error]bool),
	}
	options := append([]nats.Option{
		nats.Name(action.UserAgent),
		nats.NoReconnect(),
		nats.IgnoreDiscoveredServers(), // each server's error is to be known
		nats.SkipHostLookup(),          // the dialer does it, within ctx
		nats.SetCustomDialer(c.dialer),
		nats.Timeout(connectTime),
		nats.PingInterval(pingEvery),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.note(err) }),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}, a.authorize...)
	if a.tls != nil {
		options = append(options, nats.Secure(a.tls))
	}
	if a.config.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(a.config.InboxPrefix))
	}
	release := context.AfterFunc(ctx, c.dialer.close)
	defer release()
	nc, err := nats.Connect(server, options...)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, nats.ErrNoServers) && c.dialer.err != nil:
		err = c.dialer.err // the client's says less
	}
	if nc != nil {
		c.nc = nc
		if err == nil {
			err = c.prepare(ctx)
		}
		if err != nil {
			c.drop()
		}
	}
	if err != nil {
		return nil, refusedConnection(err)
	}
	return c, nil
}

// prepare sees to it that answers can come: where the user may not subscribe to them,
// the server says so before anything is published.
func (c *connection) prepare(ctx context.Context) error {
	sub, err := c.nc.SubscribeSync(c.nc.NewInbox() + ".*")
	if err != nil {
		return err
	}
	err = c.nc.FlushWithContext(ctx)
	// note may have closed the connection for it, or will.
	for _, said := range []error{c.said(), c.nc.LastError()} {
		if errors.Is(said, nats.ErrPermissionViolation) {
			return said
		}
	}
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return sub.Unsubscribe()
}

func host(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server"
	}
	return u.Host
}

// drop closes the connection, without sending what is in its buffer.
func (c *connection) drop() {
	c.dialer.close()
	c.nc.Close()
}

// publisher returns one for a call; free has to follow. Each has its own, as one takes
// no more than 4000 messages without an answer.
func (c *connection) publisher() (jetstream.JetStream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.idle); n > 0 {
		js := c.idle[n-1]
		c.idle = c.idle[:n-1]
		return js, nil
	}
	return jetstream.New(c.nc)
}

// free takes a publisher back, unless it would wait for ever: for answers, where the
// server has refused the subject, or for the end of the connection, which it may have
// missed.
func (c *connection) free(js jetstream.JetStream) {
	if js.PublishAsyncPending() > 0 || c.nc.IsClosed() {
		// Not at once: a goroutine of the publisher's that has not begun by then never ends.
		time.AfterFunc(100*time.Millisecond, js.CleanupPublisher)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, js)
}

// A publication is a message on its way.
type publication struct {
	subject string
	answer  jetstream.PubAckFuture
	refused chan error
}

// publish sends a message; outcome has to follow.
func (c *connection) publish(js jetstream.JetStream, msg *nats.Msg) (*publication, error) {
	p := &publication{subject: msg.Subject, refused: c.watch(msg.Subject)}
	var err error
	// Without a stream's answer the client would send it again, later and behind others.
	if p.answer, err = js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0)); err == nil {
		return p, nil
	}
	c.unwatch(p.subject, p.refused)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		err = action.Permanent(fmt.Errorf("its %d bytes, with the headers, are more than the server's max_payload of %d (raise that, or %s)",
			len(msg.Data), c.nc.MaxPayload(), hintSmaller))
	case c.nc.IsClosed():
		err = c.lost()
	default:
		err = refusedMessage(err)
	}
	return nil, c.failed(p.subject, err)
}

// outcome waits for the answer to a message, or until there can be none.
func (c *connection) outcome(ctx context.Context, p *publication) error {
	defer c.unwatch(p.subject, p.refused)
	var missing error
	select {
	case <-p.answer.Ok():
		return nil
	case err := <-p.answer.Err():
		return c.failed(p.subject, refusedMessage(err))
	case err := <-p.refused:
		return c.failed(p.subject, refusedMessage(err))
	case <-ctx.Done():
		missing = fmt.Errorf("stopped before it was acknowledged (%s): %w", hintSilence, ctx.Err())
	case <-c.closed:
		missing = c.lost()
	}
	// It may have come at the same time.
	select {
	case <-p.answer.Ok():
		return nil
	case err := <-p.answer.Err():
		missing = err
	default:
	}
	return c.failed(p.subject, refusedMessage(missing))
}

func (c *connection) failed(subject string, err error) error {
	return fmt.Errorf("publish to %s at %s: %w", action.OneLine(subject, 100), c.host, err)
}

// said is what note has as the cause of the connection's end.
func (c *connection) said() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// lost is why the connection is closed.
func (c *connection) lost() error {
	cause := cmp.Or(c.said(), c.nc.LastError())
	if cause == nil {
		return errors.New("the connection was lost before the answer came")
	}
	// No class: whatever it is, the message may have been taken.
	return fmt.Errorf("the connection was lost before the answer came: %s", clean(cause).Error())
}

// watch returns what is sent the server's refusal of messages to the subject.
func (c *connection) watch(subject string) chan error {
	refused := make(chan error, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[subject] == nil {
		c.waiting[subject] = make(map[chan error]bool)
	}
	c.waiting[subject][refused] = true
	return refused
}

func (c *connection) unwatch(subject string, refused chan error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.waiting[subject], refused); len(c.waiting[subject]) == 0 {
		delete(c.waiting, subject)
	}
}

// note takes in an error of the connection.
func (c *connection) note(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		return // of the client's making: an answer is missing, and the time limit will end
	}
	subject, publishing := deniedSubject(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !publishing {
		c.cause = err
		if errors.Is(err, nats.ErrPermissionViolation) {
			c.dialer.close() // answers cannot come any more
		}
		return
	}
	for refused := range c.waiting[subject] {
		select {
		case refused <- err:
		default:
		}
	}
}

// dialer makes the one connection, and keeps it to close it.
type dialer struct {
	ctx context.Context

	mu     sync.Mutex
	conn   net.Conn
	err    error
	closed bool // before there was a connection, perhaps
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(d.ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && conn != nil {
		conn.Close()
	}
	d.conn, d.err = conn, err
	return conn, err
}

func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn != nil {
		d.conn.Close()
	}
}
