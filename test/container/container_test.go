//go:build container

// Package container tests journald-router as it is installed: on a Debian
// machine with systemd as PID 1, from its unit file. scripts/test-container
// boots that machine and runs these tests.
package container

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The steps build upon each other: after a failed one the rest says nothing.
func TestContainer(t *testing.T) {
	m := newMachine(t)
	m.waitBooted(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"enable", testEnable},
		{"unprivileged", testUnprivileged},
		{"log lines arrive", testArrive},
		{"file, exec and sql actions", testSandbox},
		{"reload", testReload},
		{"watchdog", testWatchdog},
		{"stream", testStream},
		{"stop", testStop},
		{"own lines", testOwnLines},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, m) }) {
			t.FailNow()
		}
	}
}

func testEnable(t *testing.T, m *machine) {
	m.run(t, "systemctl", "enable", "--now", "router")
	for _, unit := range []string{"router", "journald-router"} {
		m.run(t, "systemctl", "is-active", unit)
		m.run(t, "systemctl", "is-enabled", unit)
	}
	// It fails above an exposure of 2.0.
	t.Log(m.run(t, "sh", "-c", "systemd-analyze security --no-pager --threshold=20 router | tail -n 1"))
}

// testUnprivileged checks that the router runs as a dynamic user whose only
// further right is to read the journal.
func testUnprivileged(t *testing.T, m *machine) {
	status := m.run(t, "cat", "/proc/"+m.property(t, "router", "MainPID")+"/status")
	field := func(name string) []string {
		for line := range strings.Lines(status) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				return strings.Fields(value)
			}
		}
		t.Fatalf("no %s in:\n%s", name, status)
		return nil
	}
	// systemd takes dynamic users from this range: systemd.exec(5).
	if uid, err := strconv.Atoi(field("Uid")[0]); err != nil || uid < 61184 || uid > 65519 {
		t.Errorf("runs as user %v, not as a dynamic one", field("Uid"))
	}
	group := strings.Split(m.run(t, "getent", "group", "systemd-journal"), ":")[2]
	if !slices.Contains(field("Groups"), group) {
		t.Errorf("runs in groups %v, without systemd-journal (%s)", field("Groups"), group)
	}
	if caps := field("CapEff")[0]; strings.Trim(caps, "0") != "" {
		t.Errorf("runs with capabilities %s", caps)
	}
	// The administrator's commands reach it all the same; with its spool locked,
	// they would otherwise fail.
	if out := m.run(t, "journald-router", "dead", "list", "--output=json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("dead list: %q", out)
	}
}

// testArrive logs a line in each way an application does. The fake Slack accepts
// them only with the token that the unit got as a credential.
func testArrive(t *testing.T, m *machine) {
	tests := []struct {
		text string
		log  []string
	}{
		{"by logger", []string{"logger", "SLACK: by logger"}},
		{"by systemd-cat", []string{"systemd-cat", "echo", "SLACK: by systemd-cat"}},
		{"by a unit", []string{"systemctl", "start", "shop"}},
	}
	for _, test := range tests {
		m.run(t, test.log...)
	}
	for _, test := range tests {
		if msg := m.waitReceived(t, "#growth", test.text); msg.ID == "" {
			t.Errorf("%q came without an id", test.text)
		}
	}
}

// testSandbox checks that the unit's hardening leaves room for file, exec and sql actions.
func testSandbox(t *testing.T, m *machine) {
	m.run(t, "logger", "FILE: kept")
	m.run(t, "logger", "EXEC: ran")
	for path, want := range map[string]string{
		"/var/log/journald-router/lines": "kept\n",
		"/var/lib/journald-router/exec":  "ran\n",
	} {
		var got string
		eventually(t, 15*time.Second, path+" with "+want, func() bool {
			got, _ = m.try("cat", path)
			return got == want
		})
	}
	m.run(t, "logger", "SQL: a row of the table")
	eventually(t, 15*time.Second, "the row in SQLite's files", func() bool {
		_, err := m.try("sh", "-c", "grep --quiet --text 'a row of the table' /var/lib/journald-router/entries.db*")
		return err == nil
	})
	// As an administrator, with the credentials that the service gets.
	m.run(t, "env", "CREDENTIALS_DIRECTORY=/etc/journald-router", "journald-router", "check", "--connect")
}

// testReload checks that an invalid file changes nothing and says why, and that
// a valid one takes effect without a restart.
func testReload(t *testing.T, m *machine) {
	const dropIn = "/etc/journald-router/config.d/reload.yaml"
	pid := m.property(t, "router", "MainPID")
	reported := func(since string) {
		t.Helper()
		eventually(t, 15*time.Second, "error about no_such_key in the router's log", func() bool {
			return strings.Contains(m.routerLog(t, since), "no_such_key")
		})
	}

	m.write(t, dropIn, "rules:\n  - name: reloaded\n    no_such_key: 1\n    prefix: 'RELOADED: '\n    actions: [reloaded]\n")
	since := m.now(t)
	if out, err := m.try("systemctl", "reload", "router"); err == nil {
		t.Errorf("systemctl reload succeeded on an invalid file: %s", out)
	}
	reported(since)
	// The daemon has to refuse it as well: whoever sends SIGHUP may not have checked.
	since = m.now(t)
	m.run(t, "systemctl", "kill", "--signal=HUP", "--kill-who=main", "router")
	reported(since)
	m.run(t, "logger", "SLACK: by the old rules")
	m.waitReceived(t, "#growth", "by the old rules")

	m.write(t, dropIn, `
actions:
  reloaded:
    slack: {token: "${credential:slack-token}", channel: "#reloaded", api_url: "http://127.0.0.1:8080/api/"}
rules:
  - {name: reloaded, prefix: "RELOADED: ", actions: [reloaded]}
`)
	m.run(t, "systemctl", "reload", "router")
	// systemctl reload does not wait for the daemon to have read the file.
	eventually(t, 15*time.Second, "arrival by the new rule", func() bool {
		m.run(t, "logger", "RELOADED: by the new rule")
		return len(m.received(t, "#reloaded")) > 0
	})
	m.run(t, "logger", "SLACK: by the old rules, again")
	m.waitReceived(t, "#growth", "by the old rules, again")
	if now := m.property(t, "router", "MainPID"); now != pid {
		t.Errorf("the router was restarted: pid %s, then %s", pid, now)
	}
}

// testWatchdog checks that the unit has a watchdog, that a router at work feeds
// it, and that one that hangs is replaced.
func testWatchdog(t *testing.T, m *machine) {
	if got := m.property(t, "router", "WatchdogUSec"); got != "1min" {
		t.Errorf("the unit's watchdog expires after %q, want 1min", got)
	}
	const period = 2 * time.Second // no test can wait for a minute
	m.write(t, "/run/systemd/system/router.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
	m.run(t, "systemctl", "daemon-reload")
	m.run(t, "systemctl", "restart", "router")

	pid := m.property(t, "router", "MainPID")
	started := time.Now()
	eventually(t, 30*time.Second, "three periods of the watchdog", func() bool {
		if now := m.property(t, "router", "MainPID"); now != pid {
			t.Fatalf("the router did not outlive its watchdog: pid %s, then %s", pid, now)
		}
		return time.Since(started) > 3*period
	})
	m.killRouter(t, "STOP")
	if !strings.Contains(m.run(t, "journalctl", "--unit=router", "--output=cat", "--no-pager"), "Watchdog timeout") {
		t.Error("the stopped router was restarted by something else than the watchdog")
	}

	m.run(t, "rm", "-r", "/run/systemd/system/router.service.d")
	m.run(t, "systemctl", "daemon-reload")
}

// testStream lets everything happen to the router, the journal and the machine
// in the middle of a stream of lines.
func testStream(t *testing.T, m *machine) {
	m.run(t, "systemctl", "enable", "--now", "stream")
	for range 5 {
		m.waitMore(t, "#growth", 20)
		m.killRouter(t, "KILL")
	}
	for range 2 {
		m.waitMore(t, "#growth", 20)
		m.run(t, "systemctl", "restart", "systemd-journald")
		m.waitMore(t, "#growth", 20)
		m.run(t, "journalctl", "--rotate")
		// The journal moves to /run, and what was logged there is copied back to /var.
		m.waitMore(t, "#growth", 20)
		m.run(t, "journalctl", "--relinquish-var")
		m.waitMore(t, "#growth", 20)
		m.run(t, "journalctl", "--flush")
	}
	// Killed, then shut down, with deliveries that wait for a dead destination.
	m.run(t, "systemctl", "stop", "fakeslack")
	m.killRouter(t, "KILL")
	m.run(t, "systemctl", "start", "fakeslack")
	m.waitMore(t, "#growth", 20)
	m.run(t, "systemctl", "stop", "fakeslack")
	m.reboot(t)
	m.waitMore(t, "#growth", 20)
	m.killRouter(t, "KILL")
	m.waitMore(t, "#growth", 20)
	m.checkComplete(t)
}

// testStop stops the router in the middle of the stream. What is logged while
// it is down, and what it had not delivered, arrives after its start.
func testStop(t *testing.T, m *machine) {
	before := time.Now()
	m.run(t, "systemctl", "stop", "router")
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("systemctl stop router took %v, want less than 10s", took)
	}
	if result := m.property(t, "router", "Result"); result != "success" {
		t.Errorf("the router stopped with %q, want success", result)
	}
	m.run(t, "logger", "SLACK: while it was down")
	m.run(t, "systemctl", "start", "router")
	m.waitReceived(t, "#growth", "while it was down")
	m.run(t, "systemctl", "stop", "stream")
	m.checkComplete(t)
}

// testOwnLines checks that what the router logs is not routed, although a rule
// asks for its unit, nor what it had logged before it was killed or stopped: an
// error about a delivery would feed itself for ever.
func testOwnLines(t *testing.T, m *machine) {
	if !strings.Contains(m.run(t, "journalctl", "_SYSTEMD_UNIT=router.service", "--output=cat", "--no-pager"), "reading the journal") {
		t.Fatal("the router has not logged what this test is about")
	}
	// What was logged before this line is read before it.
	m.run(t, "logger", "SLACK: after its own lines")
	m.waitReceived(t, "#growth", "after its own lines")
	if got := m.received(t, "#own"); len(got) > 0 {
		t.Errorf("%d of the router's own lines were routed, the first: %q", len(got), got[0].Text)
	}
}

// checkComplete checks the guarantee: each line that the journal has reached
// Slack, in order, at most one of them twice for each time the router was killed.
func (m *machine) checkComplete(t *testing.T) {
	t.Helper()
	logged := m.loggedLines(t)
	var delivered []string
	var repeats int
	lost := logged
	for end := time.Now().Add(30 * time.Second); len(lost) > 0 && time.Now().Before(end); {
		delivered, repeats = distinct(t, m.received(t, "#growth"))
		lost = missing(logged, delivered)
	}
	t.Logf("%d lines in the journal: %d delivered, %d lost, %d delivered twice (allowed: one for each of %d kills)",
		len(logged), len(logged)-len(lost), len(lost), repeats, m.kills)
	if len(lost) > 0 {
		t.Fatalf("lost, the first of them: %q", lost[:min(len(lost), 10)])
	}
	if repeats > m.kills {
		t.Errorf("%d deliveries were repeated, want at most %d", repeats, m.kills)
	}
	for i, text := range logged {
		if delivered[i] != text {
			t.Fatalf("delivery %d is %q, want %q: the order is not the journal's", i, delivered[i], text)
		}
	}
}

// loggedLines is the text of each line in the journal that is for Slack.
func (m *machine) loggedLines(t *testing.T) []string {
	t.Helper()
	var texts []string
	for line := range strings.Lines(m.run(t, "journalctl", "--output=cat", "--no-pager")) {
		if text, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "SLACK: "); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// distinct is the text of each message at its first delivery, and how many
// deliveries were repeats, which must bear the id of the first.
func distinct(t *testing.T, messages []message) (texts []string, repeats int) {
	t.Helper()
	ids := make(map[string]string)
	for _, msg := range messages {
		id, again := ids[msg.Text]
		switch {
		case !again:
			ids[msg.Text] = msg.ID
			texts = append(texts, msg.Text)
		case id != msg.ID:
			t.Fatalf("%q was delivered with the ids %s and %s, want the same", msg.Text, id, msg.ID)
		default:
			repeats++
		}
	}
	return texts, repeats
}

// missing is what want has and got has not.
func missing(want, got []string) []string {
	has := make(map[string]bool)
	for _, s := range got {
		has[s] = true
	}
	return slices.DeleteFunc(slices.Clone(want), func(s string) bool { return has[s] })
}
