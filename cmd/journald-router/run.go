package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/sdjournal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/spool"
	"github.com/spf13/cobra"
)

// defaultTimeout is how long run --once tries.
const defaultTimeout = time.Minute

func newRunCommand(o *options) *cobra.Command {
	var once bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Follow the journal and deliver what the rules match",
		Long: `Run is the daemon. It reads the journal from where it stopped the last time (the
first time: from where "start" says), and delivers what the rules match.

SIGHUP reloads rules and actions; a configuration with mistakes is refused, and
the old one goes on. SIGTERM and SIGINT stop the daemon; what is not delivered
then is kept in the spool for the next run.

With --once it reads to the end of the journal as it is now, tries until all is
delivered or the time is up, and exits: with 0 if everything was delivered, and
with 1 if deliveries are left in the spool, or became dead letters.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("timeout") && !once {
				return usageError{errors.New("--timeout goes with --once")}
			}
			if timeout <= 0 {
				return usageError{errors.New("--timeout must be more than 0")}
			}
			d := &daemon{path: o.config, once: once, log: newLogger(cmd.ErrOrStderr())}
			return d.run(cmd.Context(), timeout)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read to the present end, deliver, exit")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultTimeout, "how `LONG` --once tries to deliver")
	return cmd
}

// daemon is one run of the program: the engine, and what connects it to systemd
// and to the administrator.
type daemon struct {
	path   string
	once   bool
	log    *slog.Logger
	config *config.Config
	spool  *spool.Spool
	guard  *router.Guard
	router *router.Router

	mu      sync.Mutex
	actions map[string]bool // names, for the control socket
}

func (d *daemon) run(ctx context.Context, timeout time.Duration) (err error) {
	if d.config, err = config.Load(d.path, config.Options{}); err != nil {
		return err
	}
	d.notes(d.config)
	if d.spool, err = spool.Open(d.config.State); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.spool.Close()) }()
	// The children of exec actions are guarded even where the router's own entries
	// are wanted: nobody else can tell them apart, but everybody can loop.
	if d.guard, err = router.NewGuard(d.spool.Invocations); err != nil {
		return err
	}
	o := router.Options{
		Spool: d.spool, Source: "journal", Open: d.open, Guard: d.guard,
		Once: d.once, Ready: d.ready, Log: d.log,
	}
	if d.config.Journal.IncludeOwn {
		o.Guard = nil
	}
	d.router = router.New(o, d.routes(d.config))
	if d.once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	if d.once {
		return d.left(timeout)
	}
	return nil
}

// serve runs the engine, and beside it all that ends with it.
func (d *daemon) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if !d.once {
		wg.Go(func() { d.reloads(ctx, hangup) })
		wg.Go(func() { watchdog(ctx, d.router.Alive, d.log) })
	}
	wg.Go(func() {
		letters := control.Local{Spool: d.spool, HasAction: d.hasAction}
		if err := control.Serve(ctx, d.config.State, letters); err != nil {
			d.log.Error("the commands dead and status will not reach this daemon", "err", err)
		}
	})
	stopping := context.AfterFunc(ctx, func() { notify(d.log, "STOPPING=1") })
	defer stopping()
	return d.router.Run(ctx)
}

func (d *daemon) open(position string) (journal.Reader, error) {
	j := d.config.Journal
	return sdjournal.Open(sdjournal.Options{
		Directory: j.Directory, Namespace: j.Namespace, Start: j.Start, After: position, Once: d.once,
		OnGap: func(g journal.Gap) {
			d.log.Error("entries of the journal were deleted before they could be read",
				"after", g.After.Format(time.RFC3339), "until", g.Until.Format(time.RFC3339))
		},
	})
}

func (d *daemon) ready() {
	d.log.Info("reading the journal", "config", strings.Join(d.config.Files, ","), "state", d.config.State,
		"rules", len(d.config.Rules.Rules()), "actions", len(d.config.Actions))
	notify(d.log, "READY=1")
}

// routes makes what the engine needs of a configuration.
func (d *daemon) routes(c *config.Config) router.Routes {
	names := make(map[string]bool)
	for _, a := range c.Actions {
		names[a.Name] = true
		if s, ok := a.Destination.(interface{ SetSpawned(func(pid int) func()) }); ok {
			s.SetSpawned(d.guard.Spawned)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.actions = names
	return router.Routes{Rules: c.Rules, Actions: c.Actions}
}

func (d *daemon) hasAction(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.actions[name]
}

func (d *daemon) notes(c *config.Config) {
	for _, note := range c.Notes {
		d.log.Warn(note.String())
	}
}

// reloads takes the configuration anew on each signal.
func (d *daemon) reloads(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			notify(d.log, "RELOADING=1\n"+monotonic())
			d.reload(ctx)
			notify(d.log, "READY=1")
		}
	}
}

func (d *daemon) reload(ctx context.Context) {
	c, err := config.Load(d.path, config.Options{})
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			d.log.Error(strings.TrimSpace(line))
		}
		d.log.Error("the configuration was not reloaded; the old one goes on")
		return
	}
	d.notes(c)
	if c.Journal != d.config.Journal || c.State != d.config.State {
		d.log.Warn("changes to journal and state need a restart; the rest was reloaded")
	}
	if err := d.router.Reload(ctx, d.routes(c)); err == nil {
		d.log.Info("reloaded", "config", strings.Join(c.Files, ","), "rules", len(c.Rules.Rules()), "actions", len(c.Actions))
	}
}

// left is the error about what --once could not deliver.
func (d *daemon) left(timeout time.Duration) error {
	var queued int64
	var where []string
	for _, q := range d.spool.Queues() {
		if q.Queued > 0 {
			queued += q.Queued
			where = append(where, fmt.Sprintf("%s %d", q.Action, q.Queued))
		}
	}
	var errs []error
	if queued > 0 {
		errs = append(errs, fmt.Errorf("not delivered within %v, kept in the spool: %s (a later run will go on with them)", timeout, strings.Join(where, ", ")))
	}
	if n := d.router.Buried(); n > 0 {
		errs = append(errs, fmt.Errorf("%s: see journald-router dead list", count(int(n), "dead letter")))
	}
	return errors.Join(errs...)
}
