package journal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
)

var sample = journal.NewRecord("s=1;i=2", time.UnixMicro(1_700_000_000_123_456), 42*time.Second,
	journal.Field{"MESSAGE", []byte("first")},
	journal.Field{"PRIORITY", []byte("3")},
	journal.Field{"MESSAGE", []byte("second=\x00\n")},
	journal.Field{"EMPTY", nil},
)

func TestRecord(t *testing.T) {
	unpacked, err := journal.Unpack(sample.Packed())
	if err != nil {
		t.Fatal(err)
	}
	copied, err := sample.Record()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]journal.Record{"made": sample, "unpacked": unpacked, "copied": copied} {
		t.Run(name, func(t *testing.T) {
			if r.Cursor() != "s=1;i=2" {
				t.Errorf("Cursor = %q", r.Cursor())
			}
			if !r.Time().Equal(time.UnixMicro(1_700_000_000_123_456)) {
				t.Errorf("Time = %v", r.Time())
			}
			if r.Monotonic() != 42*time.Second {
				t.Errorf("Monotonic = %v", r.Monotonic())
			}
			if got, want := r.String(), `MESSAGE="first" PRIORITY="3" MESSAGE="second=\x00\n" EMPTY=""`; got != want {
				t.Errorf("String = %s, want %s", got, want)
			}
		})
	}
}

func TestRecordValues(t *testing.T) {
	tests := []struct {
		field  string
		values []string
	}{
		{"MESSAGE", []string{"first", "second=\x00\n"}},
		{"PRIORITY", []string{"3"}},
		{"EMPTY", []string{""}},
		{"ABSENT", nil},
		{"MESS", nil},
		{"", nil},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			var values []string
			for _, v := range sample.Values(nil, tt.field) {
				values = append(values, string(v))
			}
			if diff := cmp.Diff(tt.values, values); diff != "" {
				t.Errorf("Values (-want +got):\n%s", diff)
			}
			first, ok := sample.Get(tt.field)
			if ok != (len(tt.values) > 0) || ok && string(first) != tt.values[0] {
				t.Errorf("Get = %q, %v", first, ok)
			}
		})
	}
	if got := sample.Values([][]byte{[]byte("before")}, "PRIORITY"); len(got) != 2 || string(got[0]) != "before" {
		t.Errorf("Values does not append: %q", got)
	}
}

func TestRecordFieldsStop(t *testing.T) {
	n := 0
	for range sample.Fields() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("went on for %d fields after break", n)
	}
}

func TestZeroRecord(t *testing.T) {
	var r journal.Record
	if r.Cursor() != "" || !r.Time().IsZero() || r.Monotonic() != 0 || r.String() != "" {
		t.Errorf("the zero record is not empty: %q %v %v %s", r.Cursor(), r.Time(), r.Monotonic(), r)
	}
	for name := range r.Fields() {
		t.Errorf("has a field %s", name)
	}
	if values := r.Values(nil, "MESSAGE"); values != nil {
		t.Errorf("Values = %q", values)
	}
}

// TestUnpackRefusesTornBytes cuts a record at every length. Only where a cut
// falls between two fields may the rest be taken for a record.
func TestUnpackRefusesTornBytes(t *testing.T) {
	whole := sample.Packed()
	boundaries := map[int]bool{}
	for end, n := 16+4+len("s=1;i=2"), 0; ; n++ {
		boundaries[end] = true
		if n == 4 {
			break
		}
		end += 4 + []int{len("MESSAGE=first"), len("PRIORITY=3"), len("MESSAGE=second=\x00\n"), len("EMPTY=")}[n]
	}
	if !boundaries[len(whole)] {
		t.Fatalf("the test counts wrongly: %v, %d", boundaries, len(whole))
	}
	for n := range whole {
		_, err := journal.Unpack(whole[:n])
		if boundaries[n] != (err == nil) || err != nil && !errors.Is(err, journal.ErrMalformed) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(sample.Packed())
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := journal.Unpack(b)
		if err != nil {
			return
		}
		_, _, _, _ = r.Cursor(), r.Time(), r.Monotonic(), r.String()
		r.AppendJSON(nil)
	})
}
