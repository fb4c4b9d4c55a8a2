package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/control"
	"github.com/journald-router/journald-router/monitor"
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
			p := &process{path: o.config, once: once, log: newLogger(cmd.ErrOrStderr())}
			return p.run(cmd.Context(), timeout)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "read to the present end, deliver, exit")
	cmd.Flags().DurationVar(&timeout, "timeout", defaultTimeout, "how `LONG` --once tries to deliver")
	return cmd
}

// process is one run of the program: the engine, and what connects it to systemd
// and to the administrator.
type process struct {
	path   string
	once   bool
	log    *slog.Logger
	config *config.Config
	spool  *spool.Spool
	guard  *router.Guard
	router *router.Router

	cuts       uint64 // values that were cut since it was told of
	toldOfCuts time.Time

	mu      sync.Mutex
	actions map[string]bool // names, for the control socket
}

func (p *process) run(ctx context.Context, timeout time.Duration) (err error) {
	if p.config, err = config.Load(p.path, config.Options{}); err != nil {
		return err
	}
	p.notes(p.config)
	if p.spool, err = spool.Open(p.config.State); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.spool.Close()) }()
	if p.guard, err = router.NewGuard(p.spool.Invocations); err != nil {
		return err
	}
	o := router.Options{
		Spool: p.spool, Source: source(p.config.Journal), Open: p.open, Guard: p.guard,
		Once: p.once, Ready: p.ready, Log: p.log,
	}
	if p.config.Journal.IncludeOwn {
		o.Guard = nil
	}
	p.router = router.New(o, p.routes(p.config))
	if p.once {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if err := p.serve(ctx); err != nil {
		return err
	}
	if p.once {
		return p.left()
	}
	if left := p.queued(func(q spool.QueueStatus) string { return fmt.Sprintf("%s %d", q.Action, q.Queued) }); left != "" {
		p.log.Info("stopped; what is not delivered is kept for the next run", "queued", left)
	} else {
		p.log.Info("stopped; nothing is left to deliver")
	}
	return nil
}

// serve runs the engine, and beside it all that ends with it.
func (p *process) serve(ctx context.Context) error {
	// Whoever reads standard output may go away: that is a failure of the stdout
	// action, to be tried again, and not the end of the daemon. (Ignored, the
	// signal would be ignored in the commands of exec actions too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	var listener net.Listener
	if p.config.HTTP != "" && !p.once {
		var err error
		if listener, err = monitor.Listen(p.config.HTTP); err != nil {
			return err
		}
		p.log.Info("showing metrics and health", "http", listener.Addr().String())
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if !p.once {
		wg.Go(func() { p.reloads(ctx, hangup) })
		wg.Go(func() { watchdog(ctx, p.router.Alive, p.log) })
		wg.Go(func() { tellStatus(ctx, p.router.Snapshot, p.log) })
	}
	if listener != nil {
		wg.Go(func() { p.monitor(ctx, listener) })
	}
	wg.Go(func() { p.control(ctx) })
	wg.Go(func() { p.spool.Maintain(ctx, p.log) })
	stopping := context.AfterFunc(ctx, func() { notify(p.log, "STOPPING=1") })
	defer stopping()
	return p.router.Run(ctx)
}

// control answers the commands of the administrator.
func (p *process) control(ctx context.Context) {
	letters := control.Local{Spool: p.spool, HasAction: p.hasAction}
	for {
		err := control.Serve(ctx, p.config.State, letters, p.router.Snapshot)
		if err == nil {
			return
		}
		const again = time.Minute
		p.log.Error("the commands status and dead do not reach this daemon; the socket will be tried again", "err", err, "in", again)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return
		}
	}
}

// monitor shows metrics and health.
func (p *process) monitor(ctx context.Context, l net.Listener) {
	if err := monitor.Serve(ctx, l, p.router); err != nil {
		p.log.Error("metrics and health are not shown any more", "err", err)
	}
}

func (p *process) ready() {
	p.log.Info("reading the journal", "config", strings.Join(p.config.Files, ","), "state", p.config.State,
		"rules", len(p.config.Rules.Rules()), "actions", len(p.config.Actions))
	notify(p.log, "READY=1\nSTATUS=reading the journal")
}

// routes makes what the engine needs of a configuration.
func (p *process) routes(c *config.Config) router.Routes {
	names := make(map[string]bool)
	for _, a := range c.Actions {
		names[a.Name] = true
		if s, ok := a.Destination.(interface{ SetSpawned(func(pid int) func()) }); ok {
			s.SetSpawned(p.guard.Spawned)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.actions = names
	return router.Routes{Rules: c.Rules, Actions: c.Actions, DeadLetters: c.DeadLetters}
}

func (p *process) hasAction(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.actions[name]
}

func (p *process) notes(c *config.Config) {
	for _, note := range c.Notes {
		p.log.Warn("the configuration is valid, but something should be known of it", "note", note.String())
	}
}

// reloads takes the configuration anew on each signal.
func (p *process) reloads(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			notify(p.log, "RELOADING=1\n"+monotonic())
			p.reload(ctx)
			notify(p.log, "READY=1")
		}
	}
}

func (p *process) reload(ctx context.Context) {
	c, err := config.Load(p.path, config.Options{})
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			p.log.Error(strings.TrimSpace(line))
		}
		p.log.Error("the configuration was not reloaded; the old one goes on")
		return
	}
	p.notes(c)
	if c.Journal != p.config.Journal || c.State != p.config.State || c.HTTP != p.config.HTTP {
		p.log.Warn("changes to journal, state and http need a restart; the rest was reloaded")
	}
	if err := p.router.Reload(ctx, p.routes(c)); err == nil {
		p.log.Info("reloaded", "config", strings.Join(c.Files, ","), "rules", len(c.Rules.Rules()), "actions", len(c.Actions))
	}
}

// left is the error about what --once could not deliver.
func (p *process) left() error {
	var errs []error
	if !p.router.ReadAll() {
		errs = append(errs, errors.New("not read to the end of the journal in time (a later run will go on from there; --timeout gives it longer)"))
	}
	kept := p.queued(func(q spool.QueueStatus) string {
		s := fmt.Sprintf("%s %d", q.Action, q.Queued)
		if f := q.Failures; f.Count > 0 {
			s += fmt.Sprintf(" (last error: %s; next try in %v)", f.Error, f.Due(time.Now()).Round(time.Second))
		}
		return s
	})
	if kept != "" {
		errs = append(errs, fmt.Errorf("not delivered in time, and kept in the spool for a later run: %s", kept))
	}
	if n := p.router.Buried(); n > 0 {
		errs = append(errs, fmt.Errorf("%s: see journald-router dead list", count(int(n), "dead letter")))
	}
	return errors.Join(errs...)
}

// queued describes the queues of the actions that are not empty.
func (p *process) queued(describe func(spool.QueueStatus) string) string {
	var all []string
	for _, q := range p.spool.Queues() {
		if p.hasAction(q.Action) && q.Queued > 0 {
			all = append(all, describe(q))
		}
	}
	return strings.Join(all, ", ")
}
