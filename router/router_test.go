package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/rules"
	"github.com/journald-router/journald-router/spool"
)

// memory is a journal in memory: its cursors are the numbers of its entries.
type memory struct {
	mu      sync.Mutex
	entries []journal.Record
	grown   chan struct{}
	fail    map[int]error // reading the entry with that number fails once
	once    bool
}

func newMemory(messages ...string) *memory {
	m := &memory{grown: make(chan struct{}), fail: make(map[int]error)}
	m.log(messages...)
	return m
}

func (m *memory) log(messages ...string) {
	for _, text := range messages {
		m.add(journal.Field{Name: "MESSAGE", Value: []byte(text)})
	}
}

func (m *memory) add(fields ...journal.Field) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cursor := strconv.Itoa(len(m.entries) + 1)
	m.entries = append(m.entries, journal.NewRecord(cursor, time.Now(), 0, fields...))
	close(m.grown)
	m.grown = make(chan struct{})
}

func (m *memory) open(position string) (journal.Reader, error) {
	r := &memoryReader{memory: m}
	if position != "" && position != journal.Head {
		r.at, _ = strconv.Atoi(position)
	}
	return r, nil
}

type memoryReader struct {
	*memory
	at int
}

func (r *memoryReader) Next() (journal.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == len(r.entries) {
		if r.once {
			return nil, journal.ErrEnd
		}
		return nil, io.EOF
	}
	if err := r.fail[r.at+1]; err != nil {
		delete(r.fail, r.at+1)
		return nil, err
	}
	r.at++
	return r.entries[r.at-1], nil
}

func (r *memoryReader) Cursor() (string, error) {
	if r.at == 0 {
		return journal.Head, nil
	}
	return strconv.Itoa(r.at), nil
}

func (r *memoryReader) Keep([]string, journal.Sieve) {}
func (r *memoryReader) Close() error                 { return nil }

func (r *memoryReader) Wait(ctx context.Context) error {
	r.mu.Lock()
	grown, more := r.grown, r.at < len(r.entries)
	r.mu.Unlock()
	if more {
		return nil
	}
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// destination is an action that does what the test says, and remembers.
type destination struct {
	mu    sync.Mutex
	got   []string
	calls atomic.Int64
	batch int
	// deliver decides; nil accepts.
	deliver func(ctx context.Context, batch []action.Message) error
}

func (d *destination) MaxBatch() int { return max(d.batch, 1) }

func (d *destination) Deliver(ctx context.Context, batch []action.Message) error {
	d.calls.Add(1)
	var err error
	if d.deliver != nil {
		err = d.deliver(ctx, batch)
	}
	var each *action.BatchError
	errors.As(err, &each)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, m := range batch {
		if err == nil || each != nil && each.Errs[i] == nil {
			d.got = append(d.got, m.Text)
		}
	}
	return err
}

func (d *destination) texts() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.got)
}

func parseRules(t *testing.T, text string) *rules.Set {
	t.Helper()
	var c strict.Collector
	v, _ := c.Parse("rules", []byte(text))
	var all []*rules.Rule
	for _, one := range v.Items("rules") {
		all = append(all, rules.Decode(one))
	}
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	return rules.New(all)
}

// rig is a router on a journal in memory.
type rig struct {
	t       *testing.T
	journal *memory
	dir     string
	spool   *spool.Spool
	log     strings.Builder
	options Options
	routes  Routes
	router  *Router
	cancel  context.CancelFunc
	done    chan error
}

// newRig routes entries that begin with "X: " to all the destinations; names are
// a, b, ...
func newRig(t *testing.T, j *memory, destinations ...action.Action) *rig {
	r := &rig{t: t, journal: j, dir: t.TempDir()}
	var names []string
	for i, d := range destinations {
		a := Action{
			Name: string(rune('a' + i)), Kind: "test", Destination: d, MaxBytes: DefaultQueueBytes,
			Retry: Retry{DefaultRetryMin, DefaultRetryMax, DefaultGiveUpAfter},
		}
		names = append(names, a.Name)
		r.routes.Actions = append(r.routes.Actions, a)
	}
	r.routes.Rules = parseRules(t, fmt.Sprintf(`[{name: r, prefix: "X: ", actions: [%s]}]`, strings.Join(names, ", ")))
	r.options = Options{Source: "journal", Open: j.open, Log: slog.New(slog.NewTextHandler(&r.log, nil))}
	return r
}

func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.spool, err = spool.Open(r.dir); err != nil {
		r.t.Fatal(err)
	}
	o := r.options
	o.Spool = r.spool
	r.router = New(o, r.routes)
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.done = make(chan error, 1)
	go func() { r.done <- r.router.Run(ctx) }()
}

func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Errorf("Run: %v", err)
	}
	if err := r.spool.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) letters() []spool.Letter {
	r.t.Helper()
	var all []spool.Letter
	for l, err := range r.spool.Letters(spool.Filter{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func (r *rig) want(d *destination, texts ...string) {
	r.t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(texts, d.texts()); diff != "" {
		r.t.Errorf("delivered (-want +got):\n%s\nlog:\n%s", diff, &r.log)
	}
}

func TestDeliversInOrderAndOnlyWhatMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: 1", "no", "X: 2"), d)
		r.start()
		r.want(d, "1", "2")
		r.journal.log("no", "X: 3")
		r.want(d, "1", "2", "3")
		r.stop()
		r.start()
		r.journal.log("X: 4")
		r.want(d, "1", "2", "3", "4")
		r.stop()
	})
}

func TestTemporaryFailureIsRetriedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		up := start.Add(10 * time.Minute)
		var tries []time.Duration
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if time.Now().Before(up) {
				tries = append(tries, time.Since(start))
				return errors.New("down")
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), d)
		r.start()
		time.Sleep(20 * time.Minute)
		r.want(d, "1", "2")
		// 1 s, doubled up to 5 min, each less up to a half.
		if n := len(tries); n < 8 || n > 13 {
			t.Errorf("%d tries in ten minutes: %v", n, tries)
		}
		for i := 1; i < len(tries); i++ {
			wait, most := tries[i]-tries[i-1], min(time.Second<<(i-1), 5*time.Minute)
			if wait < most/2 || wait > most {
				t.Errorf("wait %d was %v, want %v to %v", i, wait, most/2, most)
			}
		}
		r.stop()
	})
}

// TestBackoffSurvivesRestart: a restart is no reason to bother a dead destination.
func TestBackoffSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error {
			return action.After(errors.New("later"), time.Hour)
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.start()
		synctest.Wait()
		r.stop()
		r.start()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if n := d.calls.Load(); n != 1 {
			t.Errorf("%d calls within the hour that the destination asked for, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := d.calls.Load(); n != 2 {
			t.Errorf("%d calls after it, want 2", n)
		}
		r.stop()
	})
}

func TestPermanentFailureIsBuriedAndTheRestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "bad" {
				return action.Permanent(errors.New("refused: token xoxb-1"))
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: bad", "X: 2"), d)
		r.routes.Actions[0].Redact = func(s string) string { return strings.ReplaceAll(s, "xoxb-1", "[secret]") }
		r.start()
		r.want(d, "1", "2")
		letters := r.letters()
		if len(letters) != 1 || letters[0].Cause != "refused: token [secret]" || letters[0].Sent != "bad" || letters[0].Attempts != 1 {
			t.Errorf("letters: %+v", letters)
		}
		if strings.Contains(r.log.String(), "xoxb") || !strings.Contains(r.log.String(), `msg="dead letter"`) {
			t.Errorf("log:\n%s", &r.log)
		}
		if r.router.Buried() != 1 {
			t.Errorf("Buried = %d", r.router.Buried())
		}
		r.stop()
	})
}

func TestDeadDestinationDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		works := new(destination)
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), hangs, works)
		r.start()
		r.want(works, "1", "2", "3")
		r.journal.log("X: 4")
		r.want(works, "1", "2", "3", "4")
		// The time limit makes it a failure like others.
		time.Sleep(action.DefaultTimeout + time.Millisecond)
		synctest.Wait()
		if s := r.spool.Queue("a").Status(); s.Failures.Count != 1 || !strings.Contains(s.Failures.Error, "30s") {
			t.Errorf("the hanging action: %+v", s)
		}
		r.stop()
	})
}

// TestGiveUp: what was queued during an outage of 72 h is buried with its cause,
// what came late in it gets its own 72 h.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if up.Load() {
				return nil
			}
			return errors.New("down")
		}}
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), d)
		r.start()
		time.Sleep(71 * time.Hour)
		if n := len(r.letters()); n != 0 {
			t.Errorf("%d letters after 71 h, want none", n)
		}
		r.journal.log("X: late")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		var causes []string
		for _, l := range r.letters() {
			causes = append(causes, l.Sent+": "+l.Cause)
		}
		want := []string{"1", "2", "3"}
		for i := range want {
			want[i] += ": given up after 72h0m0s: down"
		}
		slices.Sort(causes)
		if diff := cmp.Diff(want, causes); diff != "" {
			t.Error("letters (-want +got):\n", diff)
		}
		up.Store(true)
		time.Sleep(10 * time.Minute)
		r.want(d, "late")
		r.stop()
	})
}

// TestBacklogIsGivenItsTime: deliveries that waited long behind others are not
// given up at the first failure.
func TestBacklogIsGivenItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := false
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			time.Sleep(200 * time.Second)
			if batch[0].Text == "1999" && !failed {
				failed = true
				return errors.New("hiccup")
			}
			return nil
		}}
		var messages []string
		for i := range 2000 { // more than 72 h of work
			messages = append(messages, fmt.Sprintf("X: %d", i))
		}
		r := newRig(t, newMemory(messages...), d)
		r.start()
		time.Sleep(5 * 24 * time.Hour)
		synctest.Wait()
		if got := len(d.texts()); got != 2000 || !failed || len(r.letters()) != 0 {
			t.Errorf("%d delivered, %d dead, failed: %v", got, len(r.letters()), failed)
		}
		r.stop()
	})
}

func TestStopIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(Grace / 2)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), hangs, slow)
		r.start()
		synctest.Wait()
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > Grace {
			t.Errorf("stopping took %v", took)
		}
		r.want(slow, "1")
		hangs.deliver, slow.deliver = nil, nil
		r.start()
		r.want(hangs, "1", "2")
		r.want(slow, "1", "2")
		if s := r.spool.Queue("a").Status(); s.Failures.Count != 0 || strings.Contains(r.log.String(), "delivery failed") {
			t.Errorf("being stopped counted as a failure: %+v\n%s", s, &r.log)
		}
		r.stop()
	})
}

func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		d := &destination{batch: 3, deliver: func(_ context.Context, batch []action.Message) error {
			sizes = append(sizes, len(batch))
			errs := make([]error, len(batch))
			for i, m := range batch {
				switch m.Text {
				case "poison":
					return action.Permanent(errors.New("the whole batch is refused"))
				case "no":
					errs[i] = action.Permanent(errors.New("not this one"))
				case "later":
					errs[i] = errors.New("not now")
				}
			}
			if errors.Join(errs...) == nil {
				return nil
			}
			return &action.BatchError{Errs: errs}
		}}
		r := newRig(t, newMemory("X: 1", "X: no", "X: 2", "X: 3", "X: poison", "X: 4", "X: 5"), d)
		r.start()
		r.want(d, "1", "2", "3", "4", "5")
		if diff := cmp.Diff([]int{3, 3, 1, 1, 1, 1}, sizes); diff != "" {
			t.Error("batches (-want +got):\n", diff)
		}
		if n := len(r.letters()); n != 2 {
			t.Errorf("%d letters, want 2", n)
		}
		// While it fails, one probes.
		sizes = nil
		r.journal.log("X: later")
		synctest.Wait()
		r.journal.log("X: 6", "X: 7")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if len(sizes) < 2 || slices.Max(sizes) != 1 {
			t.Errorf("batches while it fails: %v", sizes)
		}
		r.stop()
	})
}

func TestFullQueueStopsTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		d := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			select {
			case <-open:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.routes.Actions[0].MaxBytes = 1
		r.start()
		synctest.Wait()
		r.journal.log("X: 2")
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 1 {
			t.Errorf("%d queued in a full queue, want 1", n)
		}
		if p, _ := r.spool.Position("journal"); p != "1" {
			t.Errorf("position %s, want 1: the second entry is nowhere yet", p)
		}
		if err := r.router.Alive(); err != nil {
			t.Errorf("waiting for room counts as stuck: %v", err)
		}
		// A reload may take the limit away.
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].MaxBytes = 1000
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 2 {
			t.Errorf("%d queued after the limit was raised, want 2", n)
		}
		close(open)
		time.Sleep(10 * time.Minute)
		r.want(d, "1", "2")
		if n := strings.Count(r.log.String(), "a queue is full"); n != 1 {
			t.Errorf("the full queue was told of %d times, want once:\n%s", n, &r.log)
		}
		r.stop()
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(2 * time.Second)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), slow)
		r.start()
		synctest.Wait()
		next := new(destination)
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].Destination = next
		routes.Rules = parseRules(t, `[{name: r, prefix: "Y: ", actions: [a]}]`)
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		r.journal.log("X: old rule", "Y: 3")
		time.Sleep(3 * time.Second)
		r.want(slow, "1") // what was under way, and no more
		r.want(next, "2", "3")
		// Without its action a queue is kept, and told of.
		routes.Actions = nil
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		r.journal.log("Y: 4")
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 1 {
			t.Errorf("%d queued, want 1", n)
		}
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !strings.Contains(r.log.String(), "its deliveries are kept") {
			t.Errorf("log:\n%s", &r.log)
		}
		r.stop()
	})
}

// TestActionIsTakenAwayAndPutBack while its old worker is still at it: a queue
// has one worker at a time.
func TestActionIsTakenAwayAndPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(Grace - time.Second)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), slow)
		r.start()
		synctest.Wait()
		next := new(destination)
		none, again := r.routes, r.routes
		none.Actions = nil
		again.Actions = slices.Clone(r.routes.Actions)
		again.Actions[0].Destination = next
		for _, routes := range []Routes{none, again, none, again} {
			if err := r.router.Reload(t.Context(), routes); err != nil {
				t.Fatal(err)
			}
		}
		r.journal.log("X: 4")
		time.Sleep(time.Minute)
		r.want(slow, "1")
		r.want(next, "2", "3", "4")
		if q := r.spool.Queue("a").Status(); q.Queued != 0 || q.Bytes != 0 {
			t.Errorf("the empty queue counts %+v", q)
		}
		r.stop()
	})
}

// TestTemplateFailureIsNoSignOfLife of a destination that is dead.
func TestTemplateFailureIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return errors.New("dead") }}
		r := newRig(t, newMemory("X: bad", "X: good", "X: bad"), d)
		r.routes.Actions[0].Text = mustTemplate(t, `{{ if eq .Text "bad" }}{{ index .Text 99 }}{{ end }}{{ .Text }}`)
		r.routes.Actions[0].Retry.GiveUpAfter = time.Hour
		r.start()
		for range 10 {
			time.Sleep(10 * time.Minute)
			r.journal.log("X: bad", "X: good")
		}
		synctest.Wait()
		if strings.Contains(r.log.String(), "succeed again") {
			t.Errorf("nothing was ever delivered, but the log says:\n%s", &r.log)
		}
		if n := len(r.letters()); n < 5 {
			t.Errorf("%d dead letters after an outage of 100 min with give_up_after 1 h", n)
		}
		r.stop()
	})
}

// TestManyDeadLetters are not a line each in the log.
func TestManyDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return action.Permanent(errors.New("no")) }}
		var messages []string
		for i := range 100 {
			messages = append(messages, fmt.Sprintf("X: %d", i))
		}
		r := newRig(t, newMemory(messages...), d)
		r.start()
		synctest.Wait()
		log := r.log.String()
		if each := strings.Count(log, `msg="dead letter"`); each != 10 || !strings.Contains(log, `msg="more dead letters" action=a count=90`) {
			t.Errorf("%d are logged by themselves:\n%s", each, log)
		}
		r.stop()
	})
}

func TestReaderErrorIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: 1", "no", "X: 2", "X: 3"), d)
		r.journal.fail[2] = errors.New("bad message")
		r.journal.fail[4] = errors.New("bad message")
		r.start()
		time.Sleep(time.Minute)
		r.want(d, "1", "2", "3")
		if n := strings.Count(r.log.String(), "opened again"); n != 2 {
			t.Errorf("%d errors in the log, want 2:\n%s", n, &r.log)
		}
		r.stop()
	})
}

func TestFirstOpeningFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newMemory(), new(destination))
		cause := errors.New("no journal here")
		r.options.Open = func(string) (journal.Reader, error) { return nil, cause }
		r.start()
		if err := <-r.done; !errors.Is(err, cause) {
			t.Errorf("Run: %v, want %v", err, cause)
		}
		r.spool.Close()
	})
}

func TestPositionIsSavedWithoutAMatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newMemory()
		r := newRig(t, j, new(destination))
		position := func() string {
			synctest.Wait()
			p, err := r.spool.Position("journal")
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		r.start()
		if p := position(); p != journal.Head {
			t.Errorf("at the first start %q, want %q", p, journal.Head)
		}
		for range 100 {
			j.log("no")
			time.Sleep(10 * time.Millisecond)
		}
		j.log("no")
		time.Sleep(saveEvery)
		if p := position(); p != "101" {
			t.Errorf("after a second %q, want 101", p)
		}
		j.log("no")
		r.stop()
		r.start()
		if p := position(); p != "102" {
			t.Errorf("after a stop %q, want 102", p)
		}
		r.stop()
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 3
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if fails--; fails >= 0 {
				return errors.New("not yet")
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "no"), d)
		r.journal.once = true
		r.options.Once = true
		r.start()
		if err := <-r.done; err != nil {
			t.Fatal(err)
		}
		r.want(d, "1")
		if p, _ := r.spool.Position("journal"); p != "2" || !r.router.ReadAll() {
			t.Errorf("position %s, want 2; read all: %v", p, r.router.ReadAll())
		}
		r.spool.Close()
	})
}

func TestStuckLoopIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := &destination{deliver: func(context.Context, []action.Message) error {
			<-release // heeds no context
			return nil
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.start()
		time.Sleep(action.DefaultTimeout)
		if err := r.router.Alive(); err != nil {
			t.Errorf("within its time limit: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if err := r.router.Alive(); err == nil || !strings.Contains(err.Error(), "action a") {
			t.Errorf("Alive = %v, want the action's name", err)
		}
		close(release)
		synctest.Wait()
		if err := r.router.Alive(); err != nil {
			t.Errorf("after it moved again: %v", err)
		}
		r.stop()
	})
}

func TestTemplateIsRenderedAtDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: one"), d)
		r.routes.Actions[0].Text = mustTemplate(t, "action {{ .Rule }} {{ .Text }}")
		r.start()
		r.want(d, "action r one")
		r.stop()
		r.routes.Actions[0].RuleText = map[string]*action.Template{"r": mustTemplate(t, `{{ index .Captures "x" | len }} {{ .Message }}`)}
		r.journal.log("X: two")
		r.start()
		r.want(d, "action r one", "0 X: two")
		r.stop()
	})
}

// TestTemplateThatFailsIsADeadLetter which a mended template can deliver.
func TestTemplateThatFailsIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: one"), d)
		r.routes.Actions[0].Text = mustTemplate(t, `{{ if .Text }}{{ index .Text 99 }}{{ end }}`)
		r.start()
		synctest.Wait()
		letters := r.letters()
		if len(letters) != 1 || !strings.Contains(letters[0].Cause, "template") {
			t.Fatalf("letters: %+v", letters)
		}
		r.stop()
		r.routes.Actions[0].Text = mustTemplate(t, "mended {{ .Text }}")
		r.start()
		if n, _, err := r.spool.RetryLetters(spool.Filter{}, func(string) bool { return true }); n != 1 || err != nil {
			t.Errorf("RetryLetters = %d, %v", n, err)
		}
		r.want(d, "mended one")
		r.stop()
	})
}

// markup is a destination whose text is mark-up.
type markup struct{ destination }

func (*markup) Escape(s string) string { return strings.ReplaceAll(s, "<", "&lt;") }

// TestTextIsEscaped: with a template and without.
func TestTextIsEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(markup)
		r := newRig(t, newMemory("X: <!channel>"), d)
		r.start()
		r.want(&d.destination, "&lt;!channel>")
		r.stop()
		var err error
		if r.routes.Actions[0].Text, err = action.ParseTemplate("<b>{{ .Text }}", d.Escape); err != nil {
			t.Fatal(err)
		}
		r.journal.log("X: <@U1>")
		r.start()
		r.want(&d.destination, "&lt;!channel>", "<b>&lt;@U1>")
		r.stop()
	})
}

func mustTemplate(t *testing.T, text string) *action.Template {
	t.Helper()
	tmpl, err := action.ParseTemplate(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestOwnEntriesAreNotRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory(), d)
		guard := &Guard{invocations: map[string]bool{"own": true}}
		r.options.Guard = guard
		r.start()
		for _, id := range []string{"own", "another", ""} {
			r.journal.add(journal.Field{Name: "MESSAGE", Value: []byte("X: " + id)},
				journal.Field{Name: journal.FieldInvocationID, Value: []byte(id)})
		}
		r.want(d, "another", "")
		r.stop()
	})
}
