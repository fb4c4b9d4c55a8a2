package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/journald-router/journald-router/action/nats/natstest"
	"github.com/nats-io/nats.go/jetstream"
)

// nats publishes a part of the journal's entries to a JetStream of its own.
func (b *bench) nats() (reached, compared, want string, err error) {
	part, err := makeJournal(b.dir, max(1, b.entries/10))
	if err != nil {
		return
	}
	few := *b
	few.journal, few.entries, few.rounds = part, max(1, b.entries/10), min(b.rounds, 3)
	m, err := few.interleave(few.natsOnce)
	if err != nil {
		return
	}
	return few.rate(m[0]), fmt.Sprintf("nats-server on this machine, a stream on disk, %d entries as whole JSON objects", few.entries), "", nil
}

// natsOnce is the time of run --once; every entry must then be in the stream.
func (b *bench) natsOnce() (seconds float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	server, err := natstest.Start(dir, "")
	if err != nil {
		return 0, err
	}
	defer server.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.MakeStream(ctx, jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}}); err != nil {
		return 0, err
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`journal: {directory: %s, start: beginning}
state: %s
actions: {out: {nats: {url: "%s", subject: "logs.{{ .Unit }}"}}}
rules: [{name: all, match: {MESSAGE: {exists: true}}, actions: [out]}]
`, b.journal, filepath.Join(dir, "state"), server.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	_, took, err := measured(b.router, "run", "--once", "--timeout=5m", "--config="+config)
	if err != nil {
		return 0, err
	}
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, err := server.Count(ctx, "LOGS")
	if err == nil && n != b.entries {
		err = fmt.Errorf("%d messages are in the stream, want %d", n, b.entries)
	}
	return took.wall, err
}
