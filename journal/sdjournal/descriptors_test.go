package sdjournal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// forgeFiles makes n files of one entry each.
func forgeFiles(t *testing.T, dir string, n int) {
	t.Helper()
	for i := range n {
		journaltest.ForgeFile(t, filepath.Join(dir, fmt.Sprintf("%02d.journal", i)),
			slices.Values([]journaltest.Entry{at(journaltest.Boot1, i, fmt.Sprint("message ", i))}))
	}
}

func TestTooFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	forgeFiles(t, dir, 40)
	for _, limit := range []string{"12", "20", "30", "40", "45"} {
		out := openElsewhere(t, sdjournal.Options{Directory: dir}, func(cmd *exec.Cmd) {
			cmd.Env = append(cmd.Env, "OPEN_FILES="+limit)
		})
		for _, word := range []string{"ErrTooFewDescriptors", "may open " + limit + " files", "LimitNOFILE=", "ulimit -n"} {
			if !strings.Contains(out, word) {
				t.Errorf("with %s descriptors, error %q does not name %q", limit, out, word)
			}
		}
	}
	out := openElsewhere(t, sdjournal.Options{Directory: dir}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "OPEN_FILES=60")
	})
	check(t, "output with enough descriptors", out, "")

	// A file that cannot be read is not one without a descriptor.
	if err := os.Truncate(filepath.Join(dir, "07.journal"), 100); err != nil {
		t.Fatal(err)
	}
	check(t, "output with a damaged file", openElsewhere(t, sdjournal.Options{Directory: dir}, func(*exec.Cmd) {}), "")
}

// A file that comes when there is no descriptor left is an error, and is read
// when there is one again.
func TestDescriptorsRunOut(t *testing.T) {
	dir := t.TempDir()
	forgeFiles(t, dir, 2)
	if err := os.Mkdir(filepath.Join(dir, "later"), 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(dir, "later", "02.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 2, "message 2")}))
	out := openElsewhere(t, sdjournal.Options{}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "OPEN_FILES=64", "EXHAUST_DIRECTORY="+dir)
	})
	check(t, "output", out, "ErrTooFewDescriptors\nmessage 2\n")
}

// exhaust reads a journal to its end, lets a file come while there is no
// descriptor for it, and goes on when there is.
func exhaust(dir string) error {
	o := sdjournal.Options{Directory: dir, Start: journal.Beginning}
	r, err := sdjournal.Open(o)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = r.Next()
	}
	if err != io.EOF {
		return err
	}
	if o.After, err = r.Cursor(); err != nil {
		return err
	}
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	if err := os.Rename(filepath.Join(dir, "later", "02.journal"), filepath.Join(dir, "02.journal")); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for err = nil; err == nil; {
		var e journal.Entry
		if e, err = r.Next(); e != nil {
			return errors.New("an entry was read without a descriptor")
		}
		if err == io.EOF {
			err = r.Wait(ctx)
		}
	}
	if !errors.Is(err, sdjournal.ErrTooFewDescriptors) {
		return err
	}
	fmt.Println("ErrTooFewDescriptors")
	if err := r.Close(); err != nil {
		return err
	}
	for _, f := range taken {
		f.Close()
	}
	if r, err = sdjournal.Open(o); err != nil {
		return err
	}
	defer r.Close()
	r.Keep([]string{"MESSAGE"}, nil)
	for {
		e, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if e != nil {
			fmt.Printf("%s\n", e.Values(nil, "MESSAGE")[0])
		}
	}
}
