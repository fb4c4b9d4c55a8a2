package e2e

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/router"
	"golang.org/x/sys/unix"
)

// TestFullDisk: a destination is down until the spool has filled its disk. Reading
// stops, and says so; the program is stopped in that state and started again.
// Everything else goes on meanwhile: the other action's deliveries, the commands, a
// reload. Once the destination is back everything arrives, in order and once,
// without anybody making room.
func TestFullDisk(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	x, y := newHook(t), newHook(t)
	refuses := newHook(t)
	refuses.refuse.Store(true)
	config := func(text string) string {
		return fmt.Sprintf(`
http: 127.0.0.1:0
actions:
  x: {webhook: {url: "%s"}, text: "{{ .Text }}", retry: {min: 10ms, max: 100ms}}
  y: {webhook: {url: "%s"}, text: "%s"}
  z: {webhook: {url: "%s"}}
rules:
  - {name: x, prefix: "X: ", actions: [x]}
  - {name: y, prefix: "Y: ", actions: [y]}
  - {name: z, prefix: "Z: ", actions: [z]}
`, x.URL, y.URL, text, refuses.URL)
	}
	p := newProgram(t, j, config("{{ .Text }}"))
	state := filepath.Join(p.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=12m"); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	p.startReady()
	j.Print("Z: a dead letter")
	waitFor(t, "the dead letter", func() bool { return p.says(`msg="dead letter"`) == 1 })
	x.down.Store(true)

	const lines, every = 10_000, 100
	random := rand.NewChaCha8([32]byte{}) // cannot be compressed
	noise := make([]byte, 700)
	for n := range lines {
		random.Read(noise)
		j.Print(fmt.Sprintf("X: %d %s", n, base64.StdEncoding.EncodeToString(noise)))
		if n%every == 0 {
			j.Print(fmt.Sprintf("Y: %d", n/every))
		}
	}
	const stopped = "reading has stopped until the spool can be written"
	waitFor(t, "the disk to be full", func() bool { return p.says(stopped) > 0 })
	p.stop()
	before := p.says(stopped)
	p.startReady()
	waitFor(t, "the disk to be full after the restart", func() bool { return p.says(stopped) > before })
	if status, body := p.get("/readyz"); status != 503 || !strings.Contains(body, "until the spool can be written") || !strings.Contains(body, "no space left on device") {
		t.Errorf("readyz: %d %s", status, body)
	}
	waitFor(t, "the other action to have nothing to do", func() bool {
		now := p.status()
		return now.State == router.SpoolUnwritable && now.Actions[0].Queued > 0 && now.Actions[1].Queued == 0
	})
	read := len(y.received())
	if read == 0 || read == lines/every {
		t.Errorf("the other action got %d of %d lines before the disk was full", read, lines/every)
	}
	if out := p.run("dead", "list"); !strings.Contains(out, "refused") {
		t.Errorf("dead list:\n%s", out)
	}
	if out := p.run("dead", "drop", "--all"); out != "1 dead letter dropped\n" {
		t.Errorf("dead drop: %s", out)
	}
	p.reload(config("{{ .Text }} reloaded"))

	x.down.Store(false)
	p.checkNumbers(x, upTo(lines))
	p.checkNumbers(y, upTo(lines/every))
	if got := y.received(); strings.Contains(got[read-1], "reloaded") || !strings.Contains(got[len(got)-1], "reloaded") {
		t.Errorf("before and after the reload: %q and %q", got[read-1], got[len(got)-1])
	}
	if p.says("reading goes on: the spool can be written again") == 0 {
		t.Error("the log does not say that it goes on")
	}
	p.stop()
}
