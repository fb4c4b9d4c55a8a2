package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/journald-router/journald-router/action/s3/s3test"
)

// s3 uploads every entry to a service on this machine, many to an object, compressed.
func (b *bench) s3() (reached, compared, want string, err error) {
	part, err := makeJournal(b.dir, max(1, b.entries/5))
	if err != nil {
		return
	}
	few := *b
	few.journal, few.entries, few.rounds = part, max(1, b.entries/5), min(b.rounds, 3)
	var objects int
	m, err := few.interleave(func() (seconds float64, err error) {
		seconds, objects, err = few.s3Once()
		return seconds, err
	})
	if err != nil {
		return
	}
	return few.rate(m[0]), fmt.Sprintf("versitygw on this machine, %d entries as whole JSON objects in %d objects, zstd", few.entries, objects), "at least 20000 entries/s", nil
}

// s3Once is the time of run --once; every entry must then be in the bucket.
func (b *bench) s3Once() (seconds float64, objects int, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	server, err := s3test.Start(dir)
	if err != nil {
		return 0, 0, err
	}
	defer server.Kill()
	ctx := context.Background()
	if err := server.MakeBucket(ctx, "bench"); err != nil {
		return 0, 0, err
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`journal: {directory: %s, start: beginning}
state: %s
actions: {out: {s3: {endpoint: "%s", bucket: bench, access_key: "%s", secret_key: "%s"}}}
rules: [{name: all, match: {MESSAGE: {exists: true}}, actions: [out]}]
`, b.journal, filepath.Join(dir, "state"), server.Endpoint, s3test.AccessKey, s3test.SecretKey)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	_, took, err := measured(b.router, "run", "--once", "--timeout=5m", "--config="+config)
	if err != nil {
		return 0, 0, err
	}
	all, err := server.Objects(ctx, "bench")
	if err != nil {
		return 0, 0, err
	}
	lines := 0
	for _, o := range all {
		lines += bytes.Count(o.Plain, []byte("\n"))
	}
	if lines != b.entries {
		err = fmt.Errorf("%d entries are in the bucket, want %d", lines, b.entries)
	}
	return took.wall, len(all), err
}
