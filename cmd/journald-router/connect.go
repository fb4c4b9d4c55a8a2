package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/router"
)

// connectTime is how long a destination may take to answer a probe.
const connectTime = 10 * time.Second

var errLacking = errors.New("not tried, as its credentials are not here (set $CREDENTIALS_DIRECTORY to a directory that has them in files of these names, as systemd does for the service)")

// tryDestinations prints a line for each action. Its error says how many have failed.
func tryDestinations(ctx context.Context, c *config.Config, out io.Writer) error {
	errs := make([]error, len(c.Actions))
	var probes sync.WaitGroup
	for i, a := range c.Actions {
		probes.Go(func() {
			if c.Lacking[a.Name] {
				errs[i] = errLacking
			} else {
				errs[i] = probe(ctx, a)
			}
		})
	}
	probes.Wait()
	failed := 0
	for i, a := range c.Actions {
		said := "ok"
		if errs[i] != nil {
			failed++
			said = errs[i].Error()
		} else if _, ok := a.Destination.(action.Prober); !ok {
			said = "nothing to connect to"
		}
		if a.Redact != nil {
			said = a.Redact(said)
		}
		if _, err := fmt.Fprintf(out, "%s (%s): %s\n", a.Name, a.Kind, action.OneLine(said, 1000)); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("connect: %d of %s failed", failed, count(len(c.Actions), "action"))
	}
	return nil
}

func probe(ctx context.Context, a router.Action) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if c, ok := a.Destination.(action.Closer); ok {
		defer c.Close()
	}
	p, ok := a.Destination.(action.Prober)
	if !ok {
		return nil
	}
	err := p.Probe(ctx)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("no answer within %v: %w", connectTime, err)
	}
	return err
}
