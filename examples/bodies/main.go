// Bodies examines the request bodies that emit/capture has put into the journal, later
// and wherever they are kept: in the file of a file action, an object of an s3 action, or
// the journal itself. All have a line of JSON for each entry.
//
//	bodies list [-path GLOB] [-since TIME] [-until TIME] [FILE...]
//	bodies show [-path GLOB] [-since TIME] [-until TIME] REQUEST_ID [FILE...]
//
// List prints a line for each request. Show writes the body of one to standard output,
// byte for byte. Without a FILE standard input is read:
//
//	bodies list -path '/hooks/*' -since 2h /var/log/journald-router/requests.jsonl*
//	mc cat shop/logs/2026/11/27/4f1c.ndjson.zst | zstdcat | bodies list
//	journalctl --all --output=json MESSAGE_ID=5c0b6a1de1d94b0f8e6f3a7d2c4e9b18 | bodies list
//
// TIME is as 2026-11-27, 2026-11-27T08:00:00Z, or how long ago that is, as 2h. In a GLOB
// a star stands for anything but a slash.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bodies:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) == 0 || args[0] != "list" && args[0] != "show" {
		return errors.New("want list or show, and FILEs; go doc ./examples/bodies explains them")
	}
	var f filter
	flags := flag.NewFlagSet("bodies "+args[0], flag.ContinueOnError)
	flags.StringVar(&f.path, "path", "", "only requests whose path is like `GLOB`")
	flags.Func("since", "only requests from `TIME` on", f.since.set)
	flags.Func("until", "only requests before `TIME`", f.until.set)
	if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := path.Match(f.path, ""); err != nil {
		return fmt.Errorf("-path %s: %w", f.path, err)
	}
	files := flags.Args()
	if args[0] == "list" {
		return list(stdout, f, files, stdin)
	}
	if len(files) == 0 {
		return errors.New("show: want a REQUEST_ID, as list has them")
	}
	return show(stdout, f, files[0], files[1:], stdin)
}

func list(stdout io.Writer, f filter, files []string, stdin io.Reader) error {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tREQUEST ID\tREQUEST\tBYTES\tTYPE")
	err := requests(files, stdin, func(r request) {
		if !f.takes(r) {
			return
		}
		size := fmt.Sprint(len(r.Body))
		if r.Truncated != nil {
			size = fmt.Sprintf("%d of %s (%s)", len(r.Body), orUnknown(r.Length), r.Truncated)
		}
		line := []string{r.time().Format(time.RFC3339), string(r.ID), string(r.Method) + " " + string(r.Path), size, string(r.Type)}
		for i := range line {
			line[i] = visible(line[i])
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	})
	return errors.Join(err, w.Flush())
}

func show(stdout io.Writer, f filter, id string, files []string, stdin io.Reader) error {
	var found []request
	err := requests(files, stdin, func(r request) {
		if string(r.ID) == id && f.takes(r) {
			found = append(found, r)
		}
	})
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return fmt.Errorf("no request %s", id)
	case len(found) > 1: // the client may choose it
		return fmt.Errorf("%d requests have the id %s: say which one by -path, -since and -until", len(found), id)
	}
	r := found[0]
	if _, err := stdout.Write(r.Body); err != nil {
		return err
	}
	if r.Truncated != nil {
		return fmt.Errorf("these are %d bytes of %s: %s", len(r.Body), orUnknown(r.Length), r.Truncated)
	}
	return nil
}

// requests calls each with every request in the files. One that is there twice, as a
// repeated delivery is, comes once.
func requests(files []string, stdin io.Reader, each func(request)) error {
	seen := make(map[string]bool)
	read := func(name string, r io.Reader) error {
		lines := bufio.NewReader(r)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF { // what has no line break yet is still being written
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			one, err := parse(line)
			if err != nil {
				return fmt.Errorf("%s, line %d: %w", name, n, err)
			}
			if one.ID != nil && !seen[one.Cursor] {
				seen[one.Cursor] = true
				each(one)
			}
		}
	}
	if len(files) == 0 {
		return read("standard input", stdin)
	}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = read(name, file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// A filter says which requests are wanted.
type filter struct {
	path         string
	since, until moment
}

func (f filter) takes(r request) bool {
	like, _ := path.Match(f.path, string(r.Path))
	return (f.path == "" || like) && (f.since.IsZero() || !r.time().Before(f.since.Time)) && (f.until.IsZero() || r.time().Before(f.until.Time))
}

type moment struct{ time.Time }

func (m *moment) set(text string) error {
	if ago, err := time.ParseDuration(text); err == nil {
		m.Time = time.Now().Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		t, err := time.ParseInLocation(layout, text, time.Local)
		if err == nil {
			m.Time = t
			return nil
		}
	}
	return errors.New("want a time as 2026-11-27 or 2026-11-27T08:00:00Z, or how long ago that is, as 2h")
}

// visible keeps what a client has sent from controlling the terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func orUnknown(length value) string {
	if length == nil {
		return "an unknown length"
	}
	return string(length)
}
