package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// errMayNotAsk is a request of Probe's that the user has no right to make, nor need to.
var errMayNotAsk = errors.New("not allowed to ask")

// Probe implements action.Prober, on a connection of its own. It asks JetStream which
// streams take the subject, or whether the one that is set does; where the user may not
// ask that, what could be found out has been.
func (a *Action) Probe(ctx context.Context) error {
	c, err := a.connect(ctx)
	if err != nil {
		return action.Redact(err, a.secrets...)
	}
	defer c.drop()
	defer context.AfterFunc(ctx, c.drop)()
	err = a.probeStream(ctx, c)
	if errors.Is(err, errMayNotAsk) || err == nil {
		return nil
	}
	return action.Redact(fmt.Errorf("ask JetStream at %s: %w", c.host, err), a.secrets...)
}

func (a *Action) probeStream(ctx context.Context, c *connection) error {
	js, err := jetstream.New(c.nc)
	if a.config.Domain != "" {
		js, err = jetstream.NewWithDomain(c.nc, a.config.Domain)
	}
	if err != nil {
		return err
	}
	subject := pattern(a.config.Subject)
	var names []string
	err = c.ask(ctx, a.api("STREAM.NAMES"), func(ctx context.Context) error {
		list := js.StreamNames(ctx, jetstream.WithStreamListSubject(subject))
		for name := range list.Name() {
			names = append(names, name)
		}
		return list.Err()
	})
	switch stream := a.config.Stream; {
	case errors.Is(err, errMayNotAsk) && stream != "":
		return c.ask(ctx, a.api("STREAM.INFO."+stream), func(ctx context.Context) error {
			_, err := js.Stream(ctx, stream)
			return err
		})
	case err != nil:
		return err
	case stream != "" && !slices.Contains(names, stream):
		others := ""
		if len(names) > 0 {
			others = fmt.Sprintf("; %s does", strings.Join(names, ", "))
		}
		return fmt.Errorf("stream %s does not take %s, or is not there%s", stream, subject, others)
	case len(names) == 0:
		return fmt.Errorf("no stream takes %s (%s)", subject, hintStream)
	}
	return nil
}

// api is the subject of a request to JetStream.
func (a *Action) api(request string) string {
	if a.config.Domain != "" {
		return "$JS." + a.config.Domain + ".API." + request
	}
	return "$JS.API." + request
}

// ask makes a request that goes to the subject; a server that does not allow it says so
// in the place of an answer.
func (c *connection) ask(ctx context.Context, subject string, request func(context.Context) error) error {
	refused := c.watch(subject)
	defer c.unwatch(subject, refused)
	ctx, cancel := context.WithTimeoutCause(ctx, connectTime, fmt.Errorf("no answer within %v", connectTime))
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- request(ctx) }()
	select {
	case <-refused:
		cancel()
		<-result
		return errMayNotAsk
	case err := <-result:
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return errors.New("it is not on for this account (jetstream {} in the server's configuration; behind a leaf node, set domain)")
		case errors.Is(err, nats.ErrConnectionClosed):
			return c.lost()
		case err != nil:
			return refusedMessage(err)
		}
		return nil
	}
}
