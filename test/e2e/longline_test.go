package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestLongLine: an application prints one line of some hundred KB, slowly, while
// the program is killed at five moments. It arrives in one piece, and what others
// print meanwhile does not wait for it.
func TestLongLine(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, "")
	out := filepath.Join(p.dir, "out")
	p.configure(fmt.Sprintf(`
actions:
  out:
    file: {path: %s}
    text: "{{ .Text }}"
rules:
  - {name: long, prefix: "X: ", actions: [out]}
`, out))
	lines := func() []string {
		data, err := os.ReadFile(out)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(string(data), "\n")
	}
	has := func(line string) func() bool {
		return func() bool {
			for _, l := range lines() {
				if l == line {
					return true
				}
			}
			return false
		}
	}
	p.startReady()

	shop, err := j.Stdout("shop")
	if err != nil {
		t.Fatal(err)
	}
	defer shop.Close()
	j.Sync()                 // see Client.Stdout
	var want strings.Builder // what follows the prefix
	var wg sync.WaitGroup
	finish := make(chan struct{})
	var wrote error
	piece := func(n int) string {
		text := strings.Repeat(fmt.Sprintf("%d,", n), 10_000)
		want.WriteString(text)
		return text
	}
	_, wrote = shop.WriteString("X: " + piece(0) + piece(1) + piece(2)) // a part is in the journal
	wg.Go(func() {
		// However long the kills take, the next part is never late.
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n, done := 3, false; wrote == nil; n++ {
			if done && want.Len() > 200_000 {
				_, wrote = shop.WriteString(piece(n) + "\n")
				return
			}
			_, wrote = shop.WriteString(piece(n))
			select {
			case <-tick.C:
			case <-finish:
				done = true
			}
		}
	})
	j.Sync()
	for kill := range 5 {
		marker := fmt.Sprint("short ", kill)
		j.Print("X: " + marker)
		waitFor(t, marker, has(marker))
		p.kill()
		p.start()
	}
	close(finish)
	wg.Wait()
	if wrote != nil {
		t.Fatal(wrote)
	}
	waitFor(t, "the long line", has(want.String()))
	p.stop()
	for _, l := range lines() {
		if l != "" && l != want.String() && !strings.HasPrefix(l, "short ") {
			t.Errorf("a line of %d bytes that nobody has printed: %.60q", len(l), l)
		}
	}
	if n := strings.Count(strings.Join(lines(), "\n")+"\n", want.String()+"\n"); n != 1 {
		t.Errorf("the long line came %d times", n)
	}
	t.Logf("%d bytes", want.Len())
}
