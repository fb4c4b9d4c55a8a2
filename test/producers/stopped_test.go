package producers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStoppedJournald: what was called while journald stood still has neither waited nor
// grown, and what became of each entry is in the journal afterwards.
func TestStoppedJournald(t *testing.T) {
	for name, tt := range map[string]struct {
		command []string
		large   int // how many entries may have got through that are too large for a datagram
	}{
		"Python": {[]string{"/usr/bin/python3", "stopped.py"}, 8},
		"Node":   {[]string{"node", "--expose-gc", "stopped.js"}, 50},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if name == "Node" {
				r.node()
			}
			r.stop()
			defer r.cont()
			cmd := r.command(tt.command...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdin, out := pipes(t, cmd)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var told struct{ Dropped, Grown, Sent int }
			if err := out.Decode(&told); err != nil {
				t.Fatalf("it does not go on: %v\n%s", err, &stderr)
			}
			if told.Dropped < 15_000 || told.Grown > 48<<20 {
				t.Errorf("%d entries dropped, %d KiB grown", told.Dropped, told.Grown>>10)
			}
			r.cont()
			io.WriteString(stdin, "\n")
			if err := out.Decode(&told); err != nil {
				t.Fatalf("it does not go on: %v\n%s", err, &stderr)
			}
			if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
				t.Fatalf("%v\n%s", err, &stderr)
			}
			stored, dropped, large := 0, 0, 0
			for _, e := range r.entries() {
				if n := value(e, "ENTRIES_DROPPED"); n != "" {
					d, _ := strconv.Atoi(n)
					dropped += d
					continue
				}
				stored++
				if strings.HasPrefix(value(e, "MESSAGE"), "large ") {
					large++
				}
			}
			if stored+dropped != told.Sent || dropped < told.Dropped {
				t.Errorf("%d entries sent, %d stored, %d told of as dropped", told.Sent, stored, dropped)
			}
			if large > tt.large {
				t.Errorf("%d large entries were on their way", large)
			}
		})
	}
}

func pipes(t *testing.T, cmd *exec.Cmd) (io.Writer, *json.Decoder) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	return stdin, json.NewDecoder(bufio.NewReader(stdout))
}

// fill sends to journald until its socket takes nothing more from anybody.
func (r *rig) fill() {
	r.t.Helper()
	to := &unix.SockaddrUnix{Name: "/run/systemd/journal." + r.j.Namespace() + "/socket"}
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		sent := 0
		for ; err == nil; sent++ {
			err = unix.Sendto(fd, []byte("MESSAGE=full\n"), 0, to)
		}
		unix.Close(fd)
		if !errors.Is(err, unix.EAGAIN) {
			r.t.Fatal(err)
		}
		if sent == 1 { // not even a new socket's first: it is journald's that is full
			return
		}
	}
}

// TestStoppedShell: a script waits for as long as timeout says, and goes on.
func TestStoppedShell(t *testing.T) {
	r := newRig(t)
	r.stop()
	defer r.cont()
	r.fill()
	start := time.Now()
	r.run("sh", "-c", ". ./signup.sh; set -e; journal again")
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("it has not waited at all: it took %s", took)
	}
	r.cont()
	for _, e := range r.entries() {
		if value(e, "MESSAGE") != "full" {
			t.Errorf("an entry got through: %s", e)
		}
	}
}

// TestStoppedOutput: the kernel has room for as many lines as the page says, also for
// a program that does not know of any of this.
func TestStoppedOutput(t *testing.T) {
	r := newRig(t)
	r.stop()
	defer r.cont()
	stderr := func(args ...string) string {
		const script = `exec 3>&2; exec systemd-cat --identifier=shop sh -c 'exec "$@" 2>&3' sh "$@"`
		cmd := r.command(append([]string{"sh", "-c", script, "sh"}, args...)...)
		var b bytes.Buffer
		cmd.Stderr = &b
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, &b)
		}
		return strings.TrimSpace(b.String())
	}
	if n, _ := strconv.Atoi(stderr("/usr/bin/python3", "room.py")); n < 10_000 || n > 40_000 {
		t.Errorf("there is room for %d lines, and the page says some 20,000", n)
	}
	var told struct{ Grown int }
	if out := stderr("node", "overflow.js"); json.Unmarshal([]byte(out), &told) != nil || told.Grown < 1<<20 || told.Grown > 2<<20 {
		t.Errorf("Node keeps %d bytes: %s", told.Grown, out)
	}
	for range 3 {
		stderr("sh", "-c", `/usr/bin/python3 -u shop.py`)
	}
	r.cont()
	r.run("systemd-cat", "true")
	messages := make(map[string]int)
	for _, e := range r.entries() {
		messages[value(e, "MESSAGE")]++
	}
	if n := messages["SLACK: ann@example.com has signed up"]; n != 3 {
		t.Errorf("%d lines of 3 are there", n)
	}
}

// TestJournaldAway: programs go on without it.
func TestJournaldAway(t *testing.T) {
	r := newRig(t)
	r.node()
	r.j.Stop()
	r.run("/usr/bin/python3", "signup.py")
	r.run("node", "signup.js")
	cmd := r.command("sh", "signup.sh") // logger says what is wrong
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := r.command("sh", "nightly.sh").CombinedOutput(); err == nil {
		t.Errorf("systemd-cat starts it all the same: %s", out)
	}
}
