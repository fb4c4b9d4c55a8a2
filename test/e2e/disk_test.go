package e2e

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
	"golang.org/x/sys/unix"
)

// TestFullDisk: a destination is down until the spool has filled its disk.
// Reading stops, and says so; the program is stopped in that state and started
// again. Once the destination is back everything arrives, in order and once,
// without anybody making room.
func TestFullDisk(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	var mu sync.Mutex
	var got []string
	down := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if down || err != nil {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		number, _, _ := strings.Cut(string(body), " ")
		got = append(got, number)
	}))
	defer server.Close()
	p := newProgram(t, j, fmt.Sprintf(`
http: 127.0.0.1:0
actions:
  hook:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
    retry: {min: 10ms, max: 100ms}
rules:
  - {name: all, prefix: "X: ", actions: [hook]}
`, server.URL))
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

	const lines = 10_000
	random := rand.NewChaCha8([32]byte{}) // cannot be compressed
	noise := make([]byte, 700)
	for n := range lines {
		random.Read(noise)
		j.Print(fmt.Sprintf("X: %d %s", n, base64.StdEncoding.EncodeToString(noise)))
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
	mu.Lock()
	down = false
	mu.Unlock()
	waitFor(t, "the last line", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) > 0 && got[len(got)-1] == strconv.Itoa(lines-1)
	})
	for n, number := range got {
		if number != strconv.Itoa(n) {
			t.Fatalf("line %s came where %d was due", number, n)
		}
	}
	if p.says("reading goes on: the spool can be written again") == 0 {
		t.Error("the log does not say that it goes on")
	}
	p.stop()
}
