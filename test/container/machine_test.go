//go:build container

package container

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A machine is the booted container. Its commands run as root.
type machine struct {
	engine []string // the command line of docker or podman
	name   string
	kills  int // of the router, each of which may repeat one delivery an action
}

// newMachine finds the container that scripts/test-container started. A test
// that fails ends with the router's journal.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{engine: strings.Fields(os.Getenv("CONTAINER_ENGINE")), name: os.Getenv("CONTAINER_NAME")}
	if len(m.engine) == 0 || m.name == "" {
		t.Fatal("CONTAINER_ENGINE and CONTAINER_NAME are not set: these tests are run by scripts/test-container")
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		log, err := m.try("journalctl", "--unit=router", "--output=short-precise", "--lines=200", "--no-pager")
		if err != nil {
			log, _ = m.control("logs", m.name) // of a container that did not boot
		}
		t.Logf("the end of the journal of router.service (%v):\n%s", err, log)
	})
	return m
}

// control runs a subcommand of docker or podman.
func (m *machine) control(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	argv := append(m.engine[:len(m.engine):len(m.engine)], args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// try runs a command in the machine.
func (m *machine) try(args ...string) (string, error) {
	return m.control(append([]string{"exec", m.name}, args...)...)
}

// run runs a command in the machine that must succeed.
func (m *machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// write writes a file in the machine.
func (m *machine) write(t *testing.T, path, content string) {
	t.Helper()
	m.run(t, "sh", "-c", `mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"`, "sh", path, content)
}

// property is one property of a unit, as systemctl show prints it.
func (m *machine) property(t *testing.T, unit, name string) string {
	t.Helper()
	return m.run(t, "systemctl", "show", "--value", "--property="+name, unit)
}

// waitBooted waits until systemd has started everything that is enabled.
func (m *machine) waitBooted(t *testing.T) {
	t.Helper()
	var state string
	eventually(t, time.Minute, "boot of the container", func() bool {
		out, _ := m.try("systemctl", "is-system-running") // fails unless "running"
		state = strings.TrimSpace(out)
		return state == "running" || state == "degraded"
	})
	if state == "degraded" {
		t.Fatalf("units failed at boot:\n%s", m.run(t, "systemctl", "--failed", "--no-pager", "--plain"))
	}
}

// reboot shuts the machine down from within, as an administrator does. A
// container only stops then, so its engine has to start it again.
func (m *machine) reboot(t *testing.T) {
	t.Helper()
	m.run(t, "touch", "/run/not-rebooted") // /run is in memory
	m.try("systemctl", "reboot")           // the command may not live to see its own success
	eventually(t, time.Minute, "shutdown of the container", func() bool {
		out, err := m.control("inspect", "--format", "{{.State.Running}}", m.name)
		return err == nil && strings.TrimSpace(out) == "false"
	})
	if _, err := m.control("start", m.name); err != nil {
		t.Fatal(err)
	}
	m.waitBooted(t)
	if _, err := m.try("test", "-e", "/run/not-rebooted"); err == nil {
		t.Fatal("the container did not reboot")
	}
}

// killRouter sends the router a deadly signal and waits until systemd has
// started it again.
func (m *machine) killRouter(t *testing.T, signal string) {
	t.Helper()
	pid := m.property(t, "router", "MainPID")
	m.run(t, "systemctl", "kill", "--signal="+signal, "router")
	m.kills++
	m.waitRestarted(t, pid)
}

// waitRestarted waits until the router runs as a process other than pid.
func (m *machine) waitRestarted(t *testing.T, pid string) {
	t.Helper()
	eventually(t, 30*time.Second, "restart of the router", func() bool {
		now := m.property(t, "router", "MainPID")
		return now != pid && now != "0" && m.property(t, "router", "ActiveState") == "active"
	})
}

// A message is one that the fake Slack accepted.
type message struct {
	Channel string `json:"channel"`
	Text    string `json:"text"`
	ID      string `json:"id"` // the delivery's
}

// received is what the fake Slack accepted on a channel so far, in order.
func (m *machine) received(t *testing.T, channel string) []message {
	t.Helper()
	var got []message
	lines := m.run(t, "cat", "/var/lib/fakeslack/messages.jsonl")
	for line := range strings.Lines(lines) {
		var msg message
		if err := json.Unmarshal([]byte(line), &msg); err != nil {
			t.Fatalf("line %q of the fake Slack: %v", line, err)
		}
		if msg.Channel == channel {
			got = append(got, msg)
		}
	}
	return got
}

// waitReceived waits until a text arrived on a channel of the fake Slack.
func (m *machine) waitReceived(t *testing.T, channel, text string) message {
	t.Helper()
	var found message
	eventually(t, 15*time.Second, fmt.Sprintf("arrival of %q on %s", text, channel), func() bool {
		for _, msg := range m.received(t, channel) {
			if msg.Text == text {
				found = msg
				return true
			}
		}
		return false
	})
	return found
}

// waitMore waits until n more messages arrived on a channel.
func (m *machine) waitMore(t *testing.T, channel string, n int) {
	t.Helper()
	before := len(m.received(t, channel))
	eventually(t, 30*time.Second, fmt.Sprintf("arrival of %d more messages on %s", n, channel), func() bool {
		return len(m.received(t, channel)) >= before+n
	})
}

// routerLog is what the router itself has logged since a time that journalctl
// understands.
func (m *machine) routerLog(t *testing.T, since string) string {
	t.Helper()
	return m.run(t, "journalctl", "--unit=router", "--since="+since, "--output=cat", "--no-pager")
}

// now is the machine's time, in the words of journalctl --since.
func (m *machine) now(t *testing.T) string {
	t.Helper()
	return "@" + m.run(t, "date", "+%s.%N")
}

// eventually polls until ok, and fails the test at the deadline.
func eventually(t *testing.T, deadline time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", deadline, what)
		}
	}
}
