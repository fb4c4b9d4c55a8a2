package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/journald-router/journald-router/action/email"
	"github.com/journald-router/journald-router/action/email/emailtest"
)

// email has the program mail every entry of the journal.
func (b *bench) email() (reached, compared, want string, err error) {
	mails := 0
	m, err := b.interleave(b.cScan, func() (seconds float64, err error) {
		seconds, mails, err = b.mailEverything()
		return seconds, err
	})
	if err != nil {
		return
	}
	return b.rate(m[1]), fmt.Sprintf("%d mails; C: %s", mails, b.rate(m[0])), "", nil
}

func (b *bench) mailEverything() (seconds float64, mails int, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	s, err := emailtest.Start(dir, emailtest.Options{Mechanisms: []string{"PLAIN"}, Discard: true})
	if err != nil {
		return 0, 0, err
	}
	defer s.Stop()
	var received, entries atomic.Int64
	s.Obey(func(stage emailtest.Stage, data string) error {
		if stage == emailtest.Accepted {
			received.Add(1)
			// Above each entry is a line with the rule's name.
			entries.Add(int64(strings.Count(data, ", every-entry\r\n")))
		}
		return nil
	})
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
journal: {directory: %s, start: beginning}
state: %s
actions:
  mail:
    email: {host: 127.0.0.1, port: %d, security: %s, tls: {ca: %s}, user: %s, password: %s, from: router@example.com, to: ops@example.com}
    batch: {max: 500}
rules:
  - {name: every-entry, match: {MESSAGE: {exists: true}}, actions: [mail]}
`, b.journal, filepath.Join(dir, "state"), s.TLSPort(), email.TLS, s.CA, emailtest.User, emailtest.Password)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if _, err := command(b.router, "run", "--once", "--timeout=5m", "--config="+config); err != nil {
		return 0, 0, err
	}
	seconds = time.Since(start).Seconds()
	if n := int(entries.Load()); n != b.entries {
		return 0, 0, fmt.Errorf("%d entries were mailed, want %d", n, b.entries)
	}
	return seconds, int(received.Load()), nil
}
