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
	lost    bool  // Cursor fails
	late    error // of Wait, once, when its time is up
	process int   // how often that was called
	gone    error // of Process
}

func newMemory(messages ...string) *memory {
	m := &memory{grown: make(chan struct{}), fail: make(map[int]error)}
	m.log(messages...)
	return m
}

func (m *memory) log(messages ...string) {
	var entries [][]journal.Field
	for _, text := range messages {
		entries = append(entries, []journal.Field{{Name: "MESSAGE", Value: []byte(text)}})
	}
	m.add(entries...)
}

// add adds entries all at once, so that the reader sees all of them or none.
func (m *memory) add(entries ...[]journal.Field) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, fields := range entries {
		cursor := strconv.Itoa(len(m.entries) + 1)
		m.entries = append(m.entries, journal.NewRecord(cursor, time.Now(), 0, fields...))
	}
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
	if r.lost {
		return "", errors.New("cannot assign requested address")
	}
	if r.at == 0 {
		return journal.Head, nil
	}
	return strconv.Itoa(r.at), nil
}

func (r *memoryReader) After(last journal.Record) (string, error) { return last.Cursor(), nil }

func (r *memoryReader) Keep([]string, ...journal.Sieve) {}
func (r *memoryReader) Close() error                    { return nil }

func (r *memoryReader) Process() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process++
	return r.gone
}

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
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.late; err != nil {
			r.late = nil
			return err
		}
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

func (d *destination) Batch() (usual, most int) { return max(d.batch, 1), max(d.batch, 100) }

func (*destination) Parallel() {}

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
	log     record
	options Options
	routes  Routes
	router  *Router
	cancel  context.CancelFunc
	done    chan error
}

// record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// take returns what is new since it last did.
func (r *record) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.text.Reset()
	return r.text.String()
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

// markup is a destination whose text is mark-up.
type markup struct{ destination }

func (*markup) Escape(s string) string { return strings.ReplaceAll(s, "<", "&lt;") }

func mustTemplate(t *testing.T, text string) *action.Template {
	t.Helper()
	tmpl, err := action.ParseTemplate(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}
