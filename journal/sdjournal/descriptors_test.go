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
	"syscall"
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
// when there is one again; wherever libsystemd looks for files.
func TestDescriptorsRunOut(t *testing.T) {
	const uuid = "c3c3c3c3-c3c3-c3c3-c3c3-c3c3c3c3c3c3"
	for _, tt := range []struct{ name, comes, file string }{
		{"file", "02.journal", "comes"},
		{"file of a machine", web + "/02.journal", "comes"},
		{"file of a machine, by another form of its id", uuid + "/02.journal", "comes"},
		{"machine", db, "comes/02"},
		{"link to a machine", db, "elsewhere/02"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			forgeFiles(t, dir, 2)
			for _, sub := range []string{web, uuid, "later/elsewhere"} {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			upload(t, filepath.Join(dir, "later"), tt.file, []journaltest.Entry{at(journaltest.Boot1, 2, "message 2")})
			if strings.HasPrefix(tt.file, "elsewhere") {
				if err := os.Symlink("later/elsewhere", filepath.Join(dir, "later", "comes")); err != nil {
					t.Fatal(err)
				}
			}
			out := openElsewhere(t, sdjournal.Options{Directory: dir}, func(cmd *exec.Cmd) {
				cmd.Env = append(cmd.Env, "OPEN_FILES=64", "RUN_ELSEWHERE=exhaust", "COMES="+tt.comes)
			})
			check(t, "output", out, "ErrTooFewDescriptors\nmessage 2\n")
		})
	}
}

// A file for which there was a descriptor in one machine's handle, and in the others'
// too late, is read by all.
func TestDescriptorsRunOutWithinMachines(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "web", from(web, "web", 0, 1))
	upload(t, dir, "db", from(db, "db", 1, 1))
	upload(t, dir, "later/comes", from(db, "more", 2, 1))
	out := openElsewhere(t, sdjournal.Options{Directory: dir}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "OPEN_FILES=64", "RUN_ELSEWHERE=exhaust within", "COMES=02.journal")
	})
	check(t, "output", out, "it is not being read\nmore 0\n")
}

// Where a user has no inotify instances left, that is what the error says: when the
// journal is opened, and when it is opened anew to find the way.
func TestTooFewWatches(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "web", from(web, "web", 0, 2))
	upload(t, dir, "later/comes", from(web, "more", 2, 1))
	out := openElsewhere(t, sdjournal.Options{Directory: dir}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "RUN_ELSEWHERE=watch no more", "COMES=01.journal")
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root, GidMappings: root}
	})
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if !strings.HasPrefix(line, "too few inotify instances: ") || !strings.Contains(line, "fs.inotify.max_user_instances") || strings.Contains(line, "LimitNOFILE") {
			t.Errorf("error %q", line)
		}
	}
	if n := strings.Count(out, "\n"); n != 2 {
		t.Errorf("output %q; want two errors", out)
	}
}

// elsewhere are what this program does when it is run again for that: with a
// directory, and what is to come into it, from below it.
var elsewhere = map[string]func(dir, comes string) error{
	"exhaust":        exhaust,
	"exhaust within": exhaustWithin,
	"watch no more":  watchNoMore,
}

func come(dir, comes string) error {
	return os.Rename(filepath.Join(dir, "later", "comes"+filepath.Ext(comes)), filepath.Join(dir, comes))
}

// take takes all descriptors that are left.
func take() (taken []*os.File) {
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return taken
		}
		taken = append(taken, f)
	}
}

func release(taken []*os.File) {
	for _, f := range taken {
		f.Close()
	}
}

// readToEnd prints the messages that are left.
func readToEnd(r journal.Reader) error {
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

// untilError reads an error: no entry is to be read.
func untilError(r journal.Reader) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		e, err := r.Next()
		if e != nil {
			return errors.New("an entry was read without a descriptor")
		}
		if err == io.EOF {
			err = r.Wait(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// exhaust reads a journal to its end, lets a file come while there is no
// descriptor for it, and goes on when there is.
func exhaust(dir, comes string) error {
	o := sdjournal.Options{Directory: dir, Start: journal.End}
	r, err := sdjournal.Open(o)
	if err != nil {
		return err
	}
	if o.After, err = r.Cursor(); err != nil {
		return err
	}
	taken := take()
	if err := come(dir, comes); err != nil {
		return err
	}
	if err := untilError(r); !errors.Is(err, sdjournal.ErrTooFewDescriptors) {
		return err
	}
	fmt.Println("ErrTooFewDescriptors")
	if err := r.Close(); err != nil {
		return err
	}
	release(taken)
	if r, err = sdjournal.Open(o); err != nil {
		return err
	}
	defer r.Close()
	return readToEnd(r)
}

// exhaustWithin lets a file come while there is a descriptor for the first machine's
// handle alone, and reads on when there are some again.
func exhaustWithin(dir, comes string) error {
	o := sdjournal.Options{Directory: dir, Start: journal.End}
	r, err := sdjournal.OpenMachines(o, nil)
	if err != nil {
		return err
	}
	if o.After, err = r.Cursor(); err != nil {
		return err
	}
	taken := take()
	taken[0].Close()
	if err := come(dir, comes); err != nil {
		return err
	}
	if err := r.Process(); err != nil {
		return err
	}
	release(taken)
	if err := untilError(r); !strings.Contains(err.Error(), "is not being read") {
		return err
	}
	fmt.Println("it is not being read")
	if err := r.Close(); err != nil {
		return err
	}
	if r, err = sdjournal.OpenMachines(o, nil); err != nil {
		return err
	}
	defer r.Close()
	return readToEnd(r)
}

// watchNoMore prints what opening a journal says without inotify instances, and
// reading on where the file is gone that it was in.
func watchNoMore(dir, comes string) error {
	watches := func(n string) error { return os.WriteFile("/proc/sys/user/max_inotify_instances", []byte(n), 0) }
	if err := watches("1"); err != nil {
		return err
	}
	o := sdjournal.Options{Directory: dir, Start: journal.End}
	r, err := sdjournal.Open(o)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = sdjournal.Open(o)
	printCause(err)
	if err := watches("0"); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "web.journal")), come(dir, comes)); err != nil {
		return err
	}
	printCause(untilError(r))
	return nil
}

func printCause(err error) {
	if !errors.Is(err, sdjournal.ErrTooFewWatches) {
		fmt.Println("not ErrTooFewWatches:", err)
		return
	}
	_, cause, _ := strings.Cut(err.Error(), sdjournal.ErrTooFewWatches.Error())
	fmt.Println(sdjournal.ErrTooFewWatches.Error() + cause)
}
