package monitor

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// eventful is a router that something of everything has happened to.
func eventful() router.Snapshot {
	at := time.Unix(1_800_000_000, 250e6)
	return router.Snapshot{
		Time: at, Started: at, Journal: "journal", State: router.QueueFull, Reason: "the queue is full",
		Position:   router.Position{Cursor: "s=1", Time: at},
		LagSeconds: 12.5, SpoolBytes: 19, SpoolLiveBytes: 20, EntriesMatched: 1, DeliveriesAppended: 2,
		Gaps: router.Losses{Count: 3, Entries: 4}, Damages: router.Losses{Count: 5, Entries: 6}, FieldsCut: 7,
		Suppressed: router.Suppressed{Messages: 8, Units: map[string]uint64{"shop.service": 8}}, ReaderErrors: router.ReaderErrors{Count: 9, LastError: "s3cret"},
		Actions: []router.ActionSnapshot{
			{Name: "crm", Kind: "webhook", MaxBytes: 1 << 20},
			{
				Name: "growth", Kind: "slack", Queued: 10, InFlight: 19, Bytes: 11, MaxBytes: 12, OldestQueued: at, Appended: 13, Delivered: 14, FailedAttempts: 15, Buried: 16,
				LastSuccess: at, LastFailure: at, LastError: "s3cret", Failures: 17, NextTry: at.Add(time.Hour), Dropped: 20, LastDropped: at,
			},
		},
		DeadLetters: map[string]int{"growth": 19, "gone": 20}, DeadLettersRemoved: map[string]uint64{"growth": 21, "bygone": 22},
		Rules: []router.RuleSnapshot{{Name: "signups", Hits: 18, LastHit: at}, {Name: "unused"}},
	}
}

// source is a router in a state, with actions.
type source struct {
	snapshot func() router.Snapshot
	actions  []router.Action
}

func (s *source) Snapshot() router.Snapshot { return s.snapshot() }
func (s *source) Actions() []router.Action  { return s.actions }

// TestMetrics: the names are an interface, and are as the file has them.
func TestMetrics(t *testing.T) {
	c := named{collector{eventful}, counted{func() []router.Action { return []router.Action{{Name: "shop", Destination: &counting{}}} }}}
	want, err := os.Open("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if err := testutil.GatherAndCompare(registry, want); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// named are all metrics with names of the router's own.
type named struct {
	collector
	counted
}

func (n named) Describe(to chan<- *prometheus.Desc) { n.collector.Describe(to); descs(to, ofMetric) }
func (n named) Collect(to chan<- prometheus.Metric) { n.collector.Collect(to); n.counted.Collect(to) }

// TestMetricsAreDocumented by their names.
func TestMetricsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		if f := strings.Fields(line); f[1] == "HELP" && !strings.Contains(string(docs), "`"+strings.TrimPrefix(f[2], "journald_router_")+"`") {
			t.Errorf("%s is not documented", f[2])
		}
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHandler(t *testing.T) {
	now := router.Snapshot{State: router.Waiting}
	h := Handler(&source{func() router.Snapshot { return now }, nil})
	check := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, got := get(t, h, path); gotStatus != status || strings.TrimSpace(got) != body {
			t.Errorf("%s: %d %q, want %d %q", path, gotStatus, got, status, body)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 200, "ok")
	now = eventful()
	check("/healthz", 200, "ok")
	check("/readyz", 503, "the queue is full")
	now = router.Snapshot{State: router.Reading, Stuck: "the reader is stuck"}
	check("/healthz", 503, "the reader is stuck")
	check("/readyz", 503, "the reader is stuck")
	now = router.Snapshot{State: router.Waiting, Actions: []router.ActionSnapshot{{Name: "a", Stalled: "no space left on device"}}}
	check("/readyz", 503, "what action a has delivered cannot be noted: no space left on device")
	check("/", 404, "404 page not found")

	now = eventful()
	status, text := get(t, h, "/metrics")
	for _, name := range []string{"journald_router_queue_bytes{action=\"growth\"} 11", "go_goroutines", "process_open_fds"} {
		if !strings.Contains(text, name) {
			t.Errorf("/metrics: %d, without %s", status, name)
		}
	}
	if strings.Contains(text, "s3cret") {
		t.Error("an error's text is in the metrics")
	}
}

func TestServe(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if _, err := Listen(address); err == nil || !strings.Contains(err.Error(), "listen for http: listen tcp "+address+": bind: address already in use") {
		t.Errorf("a second listener: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, &source{eventful, nil}) }()
	resp, err := http.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 503 || string(body) != "the queue is full\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}
