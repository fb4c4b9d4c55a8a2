// Package router is the engine: it reads entries, asks the rules about them, and
// sees to it that every delivery that comes of it is carried out.
//
//	source: journal.Reader -> rules.Matcher -> spool.Append(position, deliveries)
//	                                             |  one queue per action
//	worker: spool.Peek -> Destination.Deliver -> spool.Settle
//
// The source never waits for a destination, only for room in a queue; the workers
// never wait for each other. All that matters is in the spool: the process may
// be killed at any instant, and goes on from there.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/rules"
	"github.com/journald-router/journald-router/spool"
)

// Options are what a Router is made of.
type Options struct {
	// Spool keeps the position and the queues. The router does not close it.
	Spool *spool.Spool
	// Source is the name that the position is kept under.
	Source string
	// Open opens the journal at the position, which is "" on the first run. It is
	// called by the goroutine that reads, again after an error of the reader.
	Open func(position string) (journal.Reader, error)
	// Guard tells the program's own entries, which are not routed; nil routes
	// them too.
	Guard *Guard
	// Once ends Run when the reader has come to journal.ErrEnd and the queues of
	// all actions are empty. There is no Reload then.
	Once bool
	// Ready is called once, when the journal is open. It may be nil.
	Ready func()
	Log   *slog.Logger
}

// Routes are the part of the configuration that a reload can change.
type Routes struct {
	Rules   *rules.Set
	Actions []Action
	// DeadLetters bounds how many are kept, and for how long.
	DeadLetters spool.LetterLimit
}

// A Router reads one journal and serves all actions.
type Router struct {
	Options
	first      Routes
	reload     chan reload
	routes     atomic.Pointer[Routes] // what the source goes by
	health     *health
	figures    *figures
	suppressed *suppressed
	fullness   *fullness
	buried     atomic.Int64
	read       chan struct{} // closed when the source has come to its end
}

// New makes a router. It does nothing before Run.
func New(o Options, routes Routes) *Router {
	return &Router{
		Options:    o,
		first:      routes,
		reload:     make(chan reload),
		health:     newHealth(),
		figures:    newFigures(),
		suppressed: newSuppressed(o.Log),
		fullness:   newFullness(o.Log),
		read:       make(chan struct{}),
	}
}

// Grace is how long a delivery that is under way may go on when the router is
// stopped or reloaded, before it is broken off and left for later.
const Grace = 5 * time.Second

// Run reads and delivers until ctx is done, and returns when all that it began
// has ended, at most Grace and a little later. Being stopped is no error. An
// error is one that no further try can mend: the journal cannot be opened, the
// spool cannot be read.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fail := func(err error) { cancel(&failure{err}) }
	defer r.suppressed.flush()
	defer r.fullness.flush()
	letters := r.newSweeper()
	defer letters.tell()
	var wg sync.WaitGroup
	crew := make(map[string]*worker)
	staff := func(routes Routes) {
		r.Spool.SetLetterLimit(routes.DeadLetters)
		r.staff(ctx, fail, &wg, crew, routes)
		r.routes.Store(&routes) // who looks at an action of it finds its memory there
	}
	staff(r.first)
	wg.Go(func() {
		if err := r.source(ctx); err != nil {
			fail(err)
		}
	})
	wg.Go(func() { letters.run(ctx) })
	if r.Once {
		wg.Wait()
	}
	for ctx.Err() == nil && !r.Once {
		select {
		case next := <-r.reload:
			staff(next.Routes)
			close(next.done)
		case <-ctx.Done():
		}
	}
	wg.Wait()
	var failure *failure
	if errors.As(context.Cause(ctx), &failure) {
		return failure.error
	}
	return nil
}

// failure tells an error of the router's own from the cause that its caller
// stopped it for.
type failure struct{ error }

// reload is a call of Reload; done is closed when the routes hold.
type reload struct {
	Routes
	done chan struct{}
}

// Reload changes the routes. Deliveries that are under way have Grace to
// end; the queues are those of the actions with the same names. It returns when
// Run has taken the routes over: what is read from then on goes by them. The error
// is that of ctx.
func (r *Router) Reload(ctx context.Context, routes Routes) error {
	next := reload{routes, make(chan struct{})}
	select {
	case r.reload <- next:
		<-next.done
		return nil
	case <-ctx.Done():
		return fmt.Errorf("reload: %w", context.Cause(ctx))
	}
}

// staff stops the workers of the old crew, and starts one for each action. A
// queue has one worker at a time: an action's new worker waits for the end of
// the last one of its name, which is kept in the crew for that even while there
// is no such action.
func (r *Router) staff(ctx context.Context, fail func(error), wg *sync.WaitGroup, crew map[string]*worker, routes Routes) {
	for _, w := range crew {
		w.stop()
	}
	named := make(map[string]bool)
	for _, a := range routes.Actions {
		w, before := r.newWorker(ctx, a), crew[a.Name]
		if before != nil && before.Rate == a.Rate {
			w.pace = before.pace
		}
		crew[a.Name] = w
		named[a.Name] = true
		wg.Go(func() {
			if before != nil {
				<-before.ended
			}
			if err := w.run(); err != nil {
				fail(err)
			}
		})
	}
	for _, q := range r.Spool.Queues() {
		if !named[q.Action] && q.Queued > 0 {
			r.Log.Warn("a queue has no action of its name in the configuration; its deliveries are kept",
				"action", q.Action, "queued", q.Queued)
		}
	}
}

// Actions are those of the routes that hold, and none before Run. An action of them that is
// an action.Rememberer has its memory.
func (r *Router) Actions() []Action {
	if routes := r.routes.Load(); routes != nil {
		return routes.Actions
	}
	return nil
}

// ReadAll tells whether Run, with Once, has read to the end.
func (r *Router) ReadAll() bool {
	select {
	case <-r.read:
		return true
	default:
		return false
	}
}

// Buried returns how many deliveries have become dead letters since Run began.
func (r *Router) Buried() int64 { return r.buried.Load() }

// Alive returns nil while every loop of the router turns. Waiting for an entry, a
// retry, or room is turning; a step that takes far longer than it may is not.
func (r *Router) Alive() error { return r.health.check() }
