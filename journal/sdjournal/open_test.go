package sdjournal_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	sd "github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// TestMain has the test program open a journal and print the error when it is
// called for that: as another user, or without libsystemd.
func TestMain(m *testing.M) {
	if files, ok := os.LookupEnv("OPEN_FILES"); ok {
		var limit syscall.Rlimit
		fmt.Sscan(files, &limit.Cur)
		limit.Max = limit.Cur
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			panic(err)
		}
	}
	if name, ok := os.LookupEnv("RUN_ELSEWHERE"); ok {
		if err := elsewhere[name](os.Getenv("OPEN_DIRECTORY"), os.Getenv("COMES")); err != nil {
			io.WriteString(os.Stdout, err.Error()+"\n")
		}
		os.Exit(0)
	}
	if dir, ok := os.LookupEnv("OPEN_DIRECTORY"); ok {
		_, err := sdjournal.Open(sdjournal.Options{Directory: dir, Namespace: os.Getenv("OPEN_NAMESPACE")})
		switch {
		case errors.Is(err, sdjournal.ErrNoPermission):
			io.WriteString(os.Stdout, "ErrNoPermission\n")
		case errors.Is(err, sdjournal.ErrNoLibrary):
			io.WriteString(os.Stdout, "ErrNoLibrary\n")
		case errors.Is(err, sdjournal.ErrTooFewDescriptors):
			io.WriteString(os.Stdout, "ErrTooFewDescriptors\n")
		case errors.Is(err, sdjournal.ErrTooFewWatches):
			io.WriteString(os.Stdout, "ErrTooFewWatches\n")
		}
		if err != nil {
			io.WriteString(os.Stdout, err.Error()+"\n")
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const nobody = 65534

// openElsewhere runs this program again to open the journal, and returns what
// it prints.
func openElsewhere(t *testing.T, o sdjournal.Options, change func(*exec.Cmd)) string {
	t.Helper()
	// Another user may not go to where go test has put the program.
	dir, err := os.MkdirTemp("", "open")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "open")
	// A process begun meanwhile would have the file open, until it executes what it is to
	// be, and ETXTBSY be the answer to executing this.
	syscall.ForkLock.RLock()
	err = os.WriteFile(path, program, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "OPEN_DIRECTORY="+o.Directory, "OPEN_NAMESPACE="+o.Namespace)
	change(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func asNobody(groups ...uint32) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: groups}}
	}
}

func TestPermission(t *testing.T) {
	const group = 4321 // of the reader
	for _, tt := range []struct {
		name  string
		files map[string]os.FileMode
		dir   os.FileMode
		ok    bool
	}{
		{"all readable", map[string]os.FileMode{"system.journal": 0o644}, 0o755, true},
		{"by group", map[string]os.FileMode{"system.journal": 0o640}, 0o750, true},
		{"no files yet", nil, 0o755, true},
		{"other users' files", map[string]os.FileMode{"system.journal": 0o640, "user-1000.journal": 0o600}, 0o755, true},
		{"no file", map[string]os.FileMode{"system.journal": 0o600}, 0o755, false},
		{"no system journal", map[string]os.FileMode{"system.journal": 0o600, "user-65534.journal": 0o644}, 0o755, false},
		{"no archived file", map[string]os.FileMode{"system.journal": 0o644, "system@1.journal": 0o600}, 0o755, false},
		{"only other users' files", map[string]os.FileMode{"user-1000.journal": 0o600}, 0o755, false},
		{"no directory", map[string]os.FileMode{"system.journal": 0o644}, 0o700, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "journal")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			for name, mode := range tt.files {
				path := filepath.Join(dir, name)
				journaltest.ForgeFile(t, path, slices.Values([]journaltest.Entry{at(journaltest.Boot1, 0, "a")}))
				if err := errors.Join(os.Chmod(path, mode), os.Chown(path, 0, group)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Chown(dir, 0, group), os.Chmod(dir, tt.dir)); err != nil {
				t.Fatal(err)
			}
			out := openElsewhere(t, sdjournal.Options{Directory: dir}, asNobody(group))
			if tt.ok {
				check(t, "output", out, "")
				return
			}
			for _, word := range []string{"ErrNoPermission", dir, "root", "usermod -aG systemd-journal nobody", "SupplementaryGroups=systemd-journal"} {
				if !strings.Contains(out, word) {
					t.Errorf("error %q does not name %q", out, word)
				}
			}
		})
	}
}

func TestPermissionOfJournald(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	out := openElsewhere(t, sdjournal.Options{Namespace: j.Namespace()}, asNobody())
	if !strings.Contains(out, "ErrNoPermission") || !strings.Contains(out, j.Dir()) {
		t.Errorf("error %q; want ErrNoPermission and %s", out, j.Dir())
	}
}

func TestNoLibrary(t *testing.T) {
	// A file that is no library stands in for a missing one.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libsystemd.so.0"), []byte("not a library, and long enough not to be taken for a short one....."), 0o644); err != nil {
		t.Fatal(err)
	}
	out := openElsewhere(t, sdjournal.Options{Directory: t.TempDir()}, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+dir)
	})
	if !strings.Contains(out, "ErrNoLibrary") || !strings.Contains(out, "libsystemd0") {
		t.Errorf("error %q; want ErrNoLibrary and libsystemd0", out)
	}
}

func TestOpenErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		o     sdjournal.Options
		is    error
		words []string
	}{
		{"directory missing", sdjournal.Options{Directory: missing}, sdjournal.ErrNoJournal, []string{missing, "does not exist"}},
		{"namespace missing", sdjournal.Options{Namespace: "nosuch"}, sdjournal.ErrNoJournal,
			[]string{"/var/log/journal/", "/run/log/journal/", ".nosuch", "LogNamespace=nosuch", "systemd-journald@nosuch"}},
		{"directory is a file", sdjournal.Options{Directory: file}, nil, []string{file, "not a directory"}},
		{"both", sdjournal.Options{Directory: missing, Namespace: "x"}, nil, []string{"directory", "namespace"}},
		{"cursor malformed", sdjournal.Options{Directory: t.TempDir(), After: "nonsense"}, nil, []string{`"nonsense"`, "cursor"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := sdjournal.Open(tt.o)
			if err == nil {
				r.Close()
				t.Fatal("no error")
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %q is not %v", err, tt.is)
			}
			for _, word := range tt.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
}

func TestCloseFreesEverything(t *testing.T) {
	dir := journaltest.Forge(t, at(journaltest.Boot1, 0, "a"))
	r, err := sdjournal.Open(sdjournal.Options{Directory: dir, Start: journal.Beginning})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "read", len(drain(t, r)), 0) // nothing is kept, so no message is seen
	if len(openFiles(t, dir)) == 0 {
		t.Fatal("no file is open: this test tests nothing")
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	check(t, "open files", openFiles(t, dir), []string(nil))
}

// The C code works on the handle that go-systemd keeps in the first field of
// its Journal.
func TestHandleIsFirstField(t *testing.T) {
	f := reflect.TypeFor[sd.Journal]().Field(0)
	if f.Name != "cjournal" || f.Offset != 0 || f.Type.Kind() != reflect.Pointer || !strings.Contains(f.Type.Elem().Name(), "sd_journal") {
		t.Errorf("the first field of sdjournal.Journal is %s %s", f.Name, f.Type)
	}
}

func TestOneLibsystemd(t *testing.T) {
	open(t, sdjournal.Options{Directory: t.TempDir()})
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	var mapped []string
	for line := range strings.Lines(string(maps)) {
		if i := strings.IndexByte(line, '/'); i >= 0 && strings.Contains(line, "libsystemd") {
			mapped = append(mapped, strings.TrimSpace(line[i:]))
		}
	}
	slices.Sort(mapped)
	if mapped = slices.Compact(mapped); len(mapped) != 1 {
		t.Errorf("mapped: %q; want one libsystemd", mapped)
	}
	self, err := elf.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	linked, err := self.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range linked {
		if strings.Contains(l, "systemd") {
			t.Errorf("linked with %s; want it looked up at run time", l)
		}
	}
}
