package journal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
)

// awkward is one entry with every kind of value that journalctl treats in its
// own way.
var awkward = []journal.Field{
	{"MESSAGE", []byte(`plain "quoted" back\slash and/slash & < > é 漢 😀`)},
	{"MESSAGE", []byte("a second message")},
	{"PRIORITY", []byte("6")},
	{"EMPTY", nil},
	{"EQUALS", []byte("a=b=c")},
	{"NEWLINE", []byte("one\ntwo\ttab\n")},
	{"CARRIAGE_RETURN", []byte("one\rtwo")},
	{"NUL", []byte("a\x00b")},
	{"ESCAPE", []byte("\x1b[31mred\x1b[0m")},
	{"BELL_AND_COMPANY", []byte("\a\b\v\f")},
	{"DELETE", []byte("a\x7fb")},
	{"C1_CONTROL", []byte("a\u0085b")},
	{"NONCHARACTER", []byte("a\ufffeb")},
	{"NONCHARACTER_BLOCK", []byte("a\ufdd0b")},
	{"NONCHARACTER_ASTRAL", []byte("a\U0001fffeb")},
	{"REPLACEMENT", []byte("a\ufffdb")},
	{"BYTE_ORDER_MARK", []byte("\ufeffx")},
	{"LINE_SEPARATOR", []byte("a\u2028b\u2029c")},
	{"ZERO_WIDTH", []byte("a\u200bb\u00a0c")},
	{"PRIVATE_USE", []byte("\ue000")},
	{"NOT_UTF8", []byte("\xff\xfeabc")},
	{"CUT_UTF8", []byte("abc\xe6\xbc")},
	{"SURROGATE", []byte("\xed\xa0\x80")},
	{"OVERLONG", []byte("\xc0\x80")},
	{"BEYOND_UNICODE", []byte("\xf4\x90\x80\x80")},
	{"MIXED", []byte("text")},
	{"MIXED", []byte{1}},
	{"MIXED", []byte("text again")},
	{"LONG", bytes.Repeat([]byte("0123456789"), 1024)},
	{"LONG_BINARY", bytes.Repeat([]byte{0, 1, 2, 254, 255}, 2048)},
	{"_TRANSPORT", []byte("journal")},
}

// TestAppendJSONAgreesWithJournalctl writes entries into a real journal file and
// has journalctl print them: once in the export format, from which the
// record is made, and once as JSON, which the record's own must equal value for
// value, to the byte.
func TestAppendJSONAgreesWithJournalctl(t *testing.T) {
	file := forge(t,
		awkward,
		[]journal.Field{{"MESSAGE", []byte("ordinary")}},
		[]journal.Field{{"MESSAGE", nil}},
	)
	records := parseExport(t, run(t, "journalctl", "--file", file, "--output=export"))
	lines := bytes.Split(bytes.TrimSpace(run(t, "journalctl", "--file", file, "--output=json", "--all")), []byte("\n"))
	if len(records) != 3 || len(lines) != 3 {
		t.Fatalf("journalctl printed %d entries and %d lines of JSON, want 3 of each", len(records), len(lines))
	}
	if diff := cmp.Diff(fieldsOf(awkward), withoutAdded(records[0])); diff != "" {
		t.Errorf("the fields did not survive the journal (-written +read):\n%s", diff)
	}
	for i, r := range records {
		got, want := object(t, r.AppendJSON(nil)), object(t, lines[i])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entry %d (-journalctl +AppendJSON):\n%s", i, diff)
		}
	}
}

func TestMarshalJSON(t *testing.T) {
	record := journal.NewRecord("s=1;i=2", time.UnixMicro(3_000_004), 5*time.Microsecond,
		journal.Field{"B", []byte("<&>\u2028")}, journal.Field{"A", []byte("1")}, journal.Field{"B", []byte{0}})
	tests := []struct {
		name   string
		record journal.Record
		want   string
	}{
		{"repeated field", record, `{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"3000004","__MONOTONIC_TIMESTAMP":"5","B":["<&>` + "\u2028" + `",[0]],"A":"1"}`},
		{"damaged name", journal.NewRecord("", time.UnixMicro(0), 0, journal.Field{"A\x01\xff", nil}),
			`{"__CURSOR":"","__REALTIME_TIMESTAMP":"0","__MONOTONIC_TIMESTAMP":"0","A\u0001\ufffd":""}`},
		{"zero record", journal.Record{}, `{"__CURSOR":"","__REALTIME_TIMESTAMP":"0","__MONOTONIC_TIMESTAMP":"0"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(tt.record.AppendJSON([]byte("x"))); got != "x"+tt.want {
				t.Errorf("AppendJSON\n got %s\nwant x%s", got, tt.want)
			}
			// encoding/json escapes <, >, & and the two line separators of what a
			// Marshaler gives: the same value, spelt another way.
			b, err := json.Marshal(tt.record)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if json.Unmarshal(b, &got) != nil || json.Unmarshal([]byte(tt.want), &want) != nil || !cmp.Equal(got, want) {
				t.Errorf("json.Marshal = %s, want the value of %s", b, tt.want)
			}
		})
	}
}

// FuzzAppendJSONValue checks that whatever the bytes, the result is one valid
// line of JSON that says them exactly.
func FuzzAppendJSONValue(f *testing.F) {
	for _, field := range awkward {
		f.Add(field.Value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		b := journal.AppendJSONValue(nil, value)
		if bytes.ContainsAny(b, "\n\r") {
			t.Fatalf("a line break in %q", b)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		var back []byte
		switch v := v.(type) {
		case string:
			back = []byte(v)
		case []any:
			for _, n := range v {
				back = append(back, byte(n.(float64)))
			}
		}
		if !bytes.Equal(back, value) {
			t.Fatalf("%q became %s", value, b)
		}
	})
}

// forge makes a journal file of the entries, with systemd's own writer.
func forge(t *testing.T, entries ...[]journal.Field) (file string) {
	t.Helper()
	var export bytes.Buffer
	for i, fields := range entries {
		fmt.Fprintf(&export, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=0123456789abcdef0123456789abcdef\n",
			1_700_000_000_123_456+i, 4_242_424+i)
		for _, f := range fields {
			// journal-remote refuses an empty value in the binary form.
			if len(f.Value) == 0 {
				fmt.Fprintf(&export, "%s=\n", f.Name)
				continue
			}
			fmt.Fprintf(&export, "%s\n", f.Name)
			export.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(f.Value))))
			fmt.Fprintf(&export, "%s\n", f.Value)
		}
		export.WriteByte('\n')
	}
	file = filepath.Join(t.TempDir(), "forged.journal")
	cmd := exec.Command(systemdTool(t, "systemd-journal-remote"), "--output="+file, "-")
	cmd.Stdin = &export
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("systemd-journal-remote: %v\n%s", err, out)
	}
	return file
}

// systemdTool finds a program of systemd's that is not in PATH.
func systemdTool(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"/usr/lib/systemd", "/lib/systemd"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Skipf("NOT RUN: %s is not installed, so no journal can be made to compare with: apt-get install systemd-journal-remote", name)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func run(t *testing.T, name string, arg ...string) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command(name, arg...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(arg, " "), err, &stderr)
	}
	return out
}

// parseExport reads the journal export format
// (https://systemd.io/JOURNAL_EXPORT_FORMATS).
func parseExport(t *testing.T, b []byte) (records []journal.Record) {
	t.Helper()
	var cursor string
	var realtime, monotonic int64
	var fields []journal.Field
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		if len(line) == 0 {
			records = append(records, journal.NewRecord(cursor, time.UnixMicro(realtime), time.Duration(monotonic)*time.Microsecond, fields...))
			fields = nil
			continue
		}
		name, value, text := bytes.Cut(line, []byte("="))
		if !text {
			n := binary.LittleEndian.Uint64(b)
			value, b = b[8:8+n], b[8+n+1:]
		}
		switch string(name) {
		case "__CURSOR":
			cursor = string(value)
		case "__REALTIME_TIMESTAMP":
			realtime = number(t, value)
		case "__MONOTONIC_TIMESTAMP":
			monotonic = number(t, value)
		default:
			fields = append(fields, journal.Field{Name: string(name), Value: value})
		}
	}
	return records
}

func number(t *testing.T, b []byte) int64 {
	t.Helper()
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// object parts a JSON object into the exact bytes of its values. (The order of
// the keys in journalctl's own output is that of a hash table.)
func object(t *testing.T, line []byte) map[string]string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(line, &raw); err != nil {
		t.Fatalf("%v in %.200s", err, line)
	}
	m := make(map[string]string)
	for name, value := range raw {
		m[name] = string(value)
	}
	return m
}

func fieldsOf(fields []journal.Field) (lines []string) {
	for _, f := range fields {
		lines = append(lines, fmt.Sprintf("%s=%q", f.Name, f.Value))
	}
	slices.Sort(lines)
	return lines
}

// withoutAdded is fieldsOf a record, less the field that forge adds.
func withoutAdded(r journal.Record) []string {
	var fields []journal.Field
	for name, value := range r.Fields() {
		if string(name) != "_BOOT_ID" {
			fields = append(fields, journal.Field{Name: string(name), Value: value})
		}
	}
	return fieldsOf(fields)
}
