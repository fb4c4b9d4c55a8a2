package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
)

// toHooks sends what begins with "X: " to a webhook whose queue is small, and
// what begins with "Y: " to another one.
func toHooks(t *testing.T, j *journaltest.T) (p *program, x, y *hook) {
	x, y = newHook(t), newHook(t)
	return newProgram(t, j, fmt.Sprintf(`
actions:
  x:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
    queue: {max_bytes: 1MiB}
    retry: {min: 10ms, max: 100ms}
  y:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
rules:
  - {name: x, prefix: "X: ", actions: [x]}
  - {name: y, prefix: "Y: ", actions: [y]}
`, x.URL, y.URL)), x, y
}

// large fills a queue of 1 MiB with few entries.
var large = strings.Repeat("x", 20_000)

// deletedJournals lists the files of the journal that the program holds, open or
// mapped, though they have been deleted.
func (p *program) deletedJournals(j *journaltest.T) (files []string) {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	fds, _ := filepath.Glob(proc + "fd/*")
	if len(fds) == 0 {
		return []string{"the program is gone"}
	}
	for _, fd := range fds {
		path, _ := os.Readlink(fd)
		if strings.HasPrefix(path, j.Dir()+"/") && strings.HasSuffix(path, " (deleted)") {
			files = append(files, path)
		}
	}
	maps, err := os.ReadFile(proc + "maps")
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, j.Dir()+"/") && strings.HasSuffix(line, " (deleted)\n") {
			files = append(files, line)
		}
	}
	return files
}

// numbersOf cuts the numbers off that the bodies begin with.
func numbersOf(bodies []string) (numbers []int) {
	for _, b := range bodies {
		text, _, _ := strings.Cut(b, " ")
		n, _ := strconv.Atoi(text)
		numbers = append(numbers, n)
	}
	return numbers
}

func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

// checkNumbers wants these, each once and in order; the one that a crash
// interrupted may come once more.
func (p *program) checkNumbers(h *hook, want []int) {
	p.t.Helper()
	got := func() []int {
		numbers := numbersOf(h.received())
		if p.crashes > 0 {
			numbers = slices.Compact(numbers)
		}
		return numbers
	}
	p.waitFor(fmt.Sprintf("%d deliveries", len(want)), func() bool { return len(got()) >= len(want) })
	if got := got(); !slices.Equal(got, want) {
		p.t.Errorf("delivered %v, want %v", got, want)
	}
}

// TestRotationsWhileADestinationIsDown: the journal is rotated 50 times, and
// what has been read is deleted, while one of two destinations is down and
// both get more to do. The program lets go of the deleted files. When the
// destination is back it gets everything.
func TestRotationsWhileADestinationIsDown(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, x, y := toHooks(t, j)
	x.down.Store(true)
	p.startReady()
	const rotations, lines = 50, 5
	for i := range rotations {
		for n := range lines {
			j.Print(fmt.Sprintf("X: %d", i*lines+n))
		}
		j.Print(fmt.Sprintf("Y: %d", i))
		j.Rotate()
		if i%5 != 4 { // every fifth will do
			continue
		}
		p.waitFor("what was logged before the rotation", func() bool { return len(y.received()) > i })
		j.Vacuum(1)
		p.waitFor("the program to let go of deleted files", func() bool { return len(p.deletedJournals(j)) == 0 })
	}
	if n := len(x.received()); n > 0 {
		t.Errorf("%d deliveries to a destination that is down", n)
	}
	x.down.Store(false)
	p.checkNumbers(x, upTo(rotations*lines))
	p.checkNumbers(y, upTo(rotations))
	if n := p.says("were deleted before"); n > p.crashes { // journald's own last entries may be gone then
		t.Errorf("%d gaps in the log", n)
	}
	p.stop()
}

// TestRotationsWhileTheQueueIsFull: the same while the reader is stopped, as the
// queue is full, and with the files that it still has to read left.
func TestRotationsWhileTheQueueIsFull(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, x, y := toHooks(t, j)
	x.down.Store(true)
	p.startReady()
	// Three files have been read, and are there to be deleted.
	for i := range 3 {
		j.Print(fmt.Sprintf("Y: %d", i))
		j.Rotate()
		p.waitFor("what was logged before the rotation", func() bool { return len(y.received()) > i })
	}
	count := fill(t, j, p, 0)
	const rotations = 10
	for range rotations {
		j.Print(fmt.Sprintf("X: %d", count))
		count++
		j.Rotate()
	}
	j.Vacuum(1 + rotations)
	p.waitFor("the stopped reader to let go of deleted files", func() bool { return len(p.deletedJournals(j)) == 0 })
	x.down.Store(false)
	p.checkNumbers(x, upTo(count))
	if n := p.says("were deleted before"); n > p.crashes { // journald's own last entries may be gone then
		t.Errorf("%d gaps in the log", n)
	}
	p.stop()
}

// fill logs lines from that number on until the queue is full and the reader has
// stopped, and returns the number of the next one.
func fill(t *testing.T, j *journaltest.T, p *program, n int) int {
	t.Helper()
	before := p.says("reading has stopped: a queue is full")
	p.waitFor("the queue to be full", func() bool {
		j.Print(fmt.Sprintf("X: %d %s", n, large))
		n++
		return p.says("reading has stopped: a queue is full") > before
	})
	return n
}

// TestVacuumOfUnreadEntries: while the queue is full, journald deletes what the
// reader has not got to. The gap is reported once, and reading goes on with
// the first entry left.
func TestVacuumOfUnreadEntries(t *testing.T) {
	t.Parallel() // mostly waiting for journald
	j := journaltest.Start(t, journaltest.Options{})
	p, x, _ := toHooks(t, j)
	x.down.Store(true)
	p.startReady()
	end := fill(t, j, p, 0)
	// The last ones may have been read, in the batch that waits for room.
	const lost = 20
	for n := range lost {
		j.Print(fmt.Sprintf("X: %d", end+n))
	}
	j.Sync()
	j.Rotate()
	for n := range 3 {
		j.Print(fmt.Sprintf("X: %d", end+lost+n))
	}
	j.Sync()
	j.Vacuum(1)
	p.waitFor("the stopped reader to let go of deleted files", func() bool { return len(p.deletedJournals(j)) == 0 })
	if n := p.says("were deleted before"); n > 0 && p.crashes == 0 {
		t.Errorf("%d gaps before the reader went on", n)
	}
	x.down.Store(false)
	last := end + lost + 2
	p.waitFor("the last line", func() bool {
		got := numbersOf(x.received())
		return len(got) > 0 && got[len(got)-1] == last
	})
	got := numbersOf(x.received())
	if tail := []int{last - 2, last - 1, last}; !slices.Equal(got[max(0, len(got)-3):], tail) {
		t.Errorf("delivered %v; want all that was left, %v, at the end", got, tail)
	}
	read := len(got) - 3
	if !slices.Equal(got[:read], upTo(read)) || read > end {
		t.Errorf("delivered %v; want those before the gap in order, and once", got)
	}
	if n := p.says("were deleted before"); n < 1 || n > 1+p.crashes {
		t.Fatalf("%d gaps in the log, want 1", n)
	}
	_, gap, _ := strings.Cut(p.log.String(), "were deleted before")
	gap, _, _ = strings.Cut(gap, "\n")
	_, size, _ := strings.Cut(gap, "entries=")
	// journald's own entries, as on rotation, count too.
	if n, _ := strconv.Atoi(size); n < end+lost-read || n > end+lost-read+10 || !strings.Contains(gap, "after=20") || !strings.Contains(gap, "until=20") {
		t.Errorf("the gap is reported as %q; want %d entries and a few, and its times", gap, end+lost-read)
	}
	p.stop()
}
