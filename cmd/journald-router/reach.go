package main

import (
	"context"
	"errors"
	"time"

	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/spool"
)

// reach finds the daemon that runs on the configuration's state directory, or else
// the spool there, which local closes.
func reach(ctx context.Context, path string, daemon func(*control.Remote) error, local func(*spool.Spool, *config.Summary) error) error {
	c, err := config.LoadSummary(path)
	if err != nil {
		return err
	}
	// Between a daemon's start and its socket, and at its stop, only the lock tells.
	for deadline := time.Now().Add(5 * time.Second); ; {
		remote, err := control.Dial(ctx, c.State)
		if err == nil {
			return daemon(remote)
		}
		if !errors.Is(err, control.ErrNoDaemon) {
			return err
		}
		s, err := spool.OpenExisting(c.State)
		if errors.Is(err, spool.ErrLocked) && time.Now().Before(deadline) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return err
		}
		return local(s, c)
	}
}
