//go:build torture

package spool

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// traced are the system calls by which a file can be changed or made durable, and
// those that tell which file it is.
const traced = "openat,close,pwrite64,write,fdatasync,fsync,ftruncate,rename,renameat,renameat2,linkat,unlinkat"

// A call is one system call that has succeeded.
type call struct {
	name   string
	args   []string // strings are decoded
	result int
}

func (c *call) int(arg int) int64 {
	n, err := strconv.ParseInt(c.args[arg], 0, 64)
	if err != nil {
		panic(fmt.Sprintf("%s: argument %d is %q", c.name, arg, c.args[arg]))
	}
	return n
}

// record runs a test of this package by itself, under strace, and returns its
// system calls.
func record(t *testing.T, test string, env ...string) []call {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("%v: apt-get install strace", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trace := t.TempDir() + "/trace"
	cmd := exec.Command(strace, "-f", "-qq", "-xx", "-s", "100000000", "-e", "signal=none", "-e", "trace="+traced, "-o", trace,
		self, "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s under strace: %v\n%s", test, err, out)
	}
	f, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls, err := parseTrace(f)
	if err != nil {
		t.Fatalf("what strace has written: %v", err)
	}
	return calls
}

var (
	whole   = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+)`)
	resumed = regexp.MustCompile(`^<\.\.\. \w+ resumed>`)
)

// parseTrace reads what strace writes. Where a call was interrupted by one of
// another thread, it counts when it has ended.
func parseTrace(r io.Reader) ([]call, error) {
	var calls []call
	begun := make(map[string]string) // by thread
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return calls, nil
		}
		if err != nil {
			return nil, err
		}
		thread, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		text = strings.TrimLeft(text, " ")
		if start, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
			begun[thread] = start
			continue
		}
		if head := resumed.FindString(text); head != "" {
			text = begun[thread] + text[len(head):]
		}
		m := whole.FindStringSubmatch(text)
		if m == nil {
			continue // the end of a thread
		}
		c := call{name: m[1], args: strings.Split(m[2], ", ")}
		if c.result, err = strconv.Atoi(m[3]); err != nil {
			return nil, err
		}
		if c.result < 0 {
			continue
		}
		for i, arg := range c.args {
			if quoted, ok := strings.CutPrefix(arg, `"`); ok {
				b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `\x`, ""))
				if err != nil {
					return nil, fmt.Errorf("%.200s: %w", line, err)
				}
				c.args[i] = string(b)
			}
		}
		calls = append(calls, c)
	}
}
