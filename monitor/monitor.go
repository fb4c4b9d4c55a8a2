// Package monitor shows over HTTP what the router does, to whoever watches over
// the machine: /metrics for Prometheus, /healthz and /readyz for those who ask
// whether it lives and whether it works. All of it is for everybody who reaches
// the address, and none of it is secret: names of actions and rules, numbers, why
// nothing is read, and what the user has made of entries by an action metrics.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Source is what is shown: a *router.Router.
type Source interface {
	Snapshot() router.Snapshot
	Actions() []router.Action
}

// Listen opens the address, "host:port", for Serve.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen for http: %w (another program has it: give one of them another port)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for http: %w", err)
	}
	return l, nil
}

// Serve answers on the listener until ctx is done, and closes it. An error is
// that of the listener.
func Serve(ctx context.Context, l net.Listener, s Source) error {
	server := &http.Server{
		Handler:           Handler(s),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	// What these answers are made of is gone soon: nobody is waited for.
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// Handler answers from snapshots, one for each request, and from what the actions have
// counted.
func Handler(source Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{source.Snapshot},
		counted{source.Actions},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		EnableOpenMetrics:   true, // which alone has exemplars
		// What is wrong with one metric is no reason to hide the others; it is counted
		// in promhttp_metric_handler_errors_total.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      registry,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s := source.Snapshot()
		answer(w, s.Alive())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := source.Snapshot()
		answer(w, s.Ready())
	})
	return mux
}

// answer says ok, or with 503 what is wrong.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
