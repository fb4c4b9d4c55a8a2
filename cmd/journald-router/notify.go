package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/router"
	"golang.org/x/sys/unix"
)

// notify tells the service manager (sd_notify(3)); without one it does nothing.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("telling systemd failed", "err", err)
	}
}

// monotonic is the time that RELOADING=1 must bear for Type=notify-reload
// (systemd.service(5)).
func monotonic() string {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return ""
	}
	return fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000)
}

// watchdog feeds systemd's watchdog, where the unit has one, while alive returns
// nil. When it does not, systemd kills the process and starts it anew.
func watchdog(ctx context.Context, alive func() error, log *slog.Logger) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 3)
	defer tick.Stop()
	for {
		if err := alive(); err != nil {
			log.Error("the watchdog is not fed", "err", err)
		} else {
			notify(log, daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tellStatus gives systemd a line for `systemctl status`, when it has changed, and
// every 10 seconds at most.
func tellStatus(ctx context.Context, snapshot func() router.Snapshot, log *slog.Logger) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for told := ""; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s := snapshot()
		if line := statusLine(&s); line != told {
			notify(log, "STATUS="+line)
			told = line
		}
	}
}

// statusLine is the status in one line.
func statusLine(s *router.Snapshot) string {
	line := describe(s) + "; " + count(int(s.EntriesMatched), "entry") + " matched"
	if s.Gaps.Count > 0 {
		line += "; entries were lost"
	}
	for _, a := range s.Actions {
		if a.Queued > 0 {
			line += fmt.Sprintf("; %s has %d queued", a.Name, a.Queued)
		}
		if a.Failures > 0 {
			line += fmt.Sprintf(" and fails (%s)", count(a.Failures, "time"))
		}
	}
	return action.OneLine(line, len(line))
}
