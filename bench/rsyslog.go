package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// inPlace gives rsyslogd the journal $1, of machine $2, for that of the machine,
// which is the only one that imjournal reads: in mounts of its own.
const inPlace = `set -e
mount -t tmpfs tmpfs /run/log
mkdir -p /run/log/journal/"$2"
mount --bind -o ro "$1" /run/log/journal/"$2"
if [ -d /var/log/journal ]; then mount -t tmpfs tmpfs /var/log/journal; fi
echo "$2" >/run/log/machine-id
mount --bind /run/log/machine-id /etc/machine-id
exec rsyslogd -n -i NONE -f "$3"`

// rsyslogConfig keeps what begins with "SLACK: ". rsyslog's limit of 20,000
// messages in 10 minutes would drop most of the journal.
const rsyslogConfig = `global(workDirectory="%[1]s")
module(load="imjournal" StateFile="state" IgnorePreviousMessages="off" Ratelimit.Interval="0")
template(name="line" type="string" string="%%msg%%\n")
:msg, startswith, "SLACK: " action(type="omfile" file="%[2]s" template="line")
`

// rsyslogScan is the time until rsyslogd has written all that begin with "SLACK: ".
func (b *bench) rsyslogScan() (seconds float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	out, config := filepath.Join(dir, "out"), filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, rsyslogConfig, dir, out), 0o600); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-c", inPlace, "sh", b.journal, machine, config)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	if err := cmd.Start(); err != nil {
		cancel()
		return 0, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	defer func() {
		cancel() // also ends it
		<-ended
	}()
	for tick := time.Tick(10 * time.Millisecond); ; {
		select {
		case <-ended:
			return 0, fmt.Errorf("rsyslogd has ended before it had written all: %s", &errs)
		case <-tick:
		}
		written, err := os.ReadFile(out)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if bytes.Count(written, []byte("\n")) >= b.matching() {
			return time.Since(start).Seconds(), nil
		}
	}
}

// machine is the id of the machine that the entries are of.
var machine = strings.Repeat("3", 32)

// rsyslog is slow, so it runs once, over the same journal.
func (b *bench) rsyslog() (reached, compared, want string, err error) {
	want = "at least 20 times"
	if _, err := exec.LookPath("rsyslogd"); err != nil {
		return "NOT MEASURED", "rsyslogd IS NOT INSTALLED, or not in PATH", want, nil
	}
	once := *b
	once.rounds = 1
	m, err := once.interleave(b.cScan, b.rsyslogScan,
		func() (float64, error) { return b.once(slackRule, b.matching()) })
	if err != nil {
		return
	}
	return fmt.Sprintf("%.0f times faster", m[1]/m[2]), fmt.Sprintf("rsyslogd, one run: %.1f x C, %s", m[1]/m[0], b.rate(m[1])), want, nil
}
