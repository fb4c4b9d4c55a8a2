package sdjournal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// logged sends a message through a journald, and returns it as it is kept and as
// it is in the record.
func logged(t *testing.T, j *journaltest.T, r *sdjournal.Reader, sent string) (kept, recorded string) {
	t.Helper()
	r.Keep([]string{"TEST", "MESSAGE"}, nil)
	say(j, sent)
	j.Sync()
	for {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil || len(e.Values(nil, "TEST")) == 0 {
			continue
		}
		kept = string(e.Values(nil, "MESSAGE")[0])
		record, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		m, _ := record.Get("MESSAGE")
		return kept, string(m)
	}
}

// noise does not compress, text does.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var b strings.Builder
	for b.Len() < n {
		b.WriteByte(byte('!' + r.IntN(90)))
	}
	return b.String()
}

func text(n int) string { return strings.Repeat("0123456789abcde ", n/16+1)[:n] }

func TestLongMessages(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), OnCut: func(n uint64) { t.Errorf("%d values were cut", n) }})
	for _, size := range []int{63 << 10, 65 << 10, 1 << 20, 10 << 20} {
		for _, sent := range []string{text(size), noise(size)} {
			kept, recorded := logged(t, j, r, sent)
			if kept != sent || recorded != sent {
				t.Errorf("%d bytes were sent; %d kept, %d recorded, or others", size, len(kept), len(recorded))
			}
		}
	}
}

func TestCut(t *testing.T) {
	const limit = 64 << 10
	const mark = "… [cut by journald-router: longer than 65536 bytes]"
	j := journaltest.Start(t, journaltest.Options{})
	cut := uint64(0)
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), MaxFieldBytes: limit, OnCut: func(n uint64) { cut += n }})
	for _, tt := range []struct{ name, sent, want string }{
		{"as long as the limit", text(limit), text(limit)},
		{"as long as the limit, incompressible", noise(limit), noise(limit)},
		{"one byte longer", text(limit + 1), text(limit) + mark},
		{"one byte longer, incompressible", noise(limit + 1), noise(limit + 1)[:limit] + mark},
		{"much longer", text(10 << 20), text(limit) + mark},
		{"much longer, incompressible", noise(10 << 20), noise(10 << 20)[:limit] + mark},
		{"in the middle of two bytes", text(limit-1) + "éé", text(limit-1) + mark},
		{"in the middle of three bytes", text(limit-2) + "€€", text(limit-2) + mark},
		{"in the middle of four bytes", text(limit-3) + "😀😀", text(limit-3) + mark},
		{"after four bytes", text(limit-4) + "😀😀", text(limit-4) + "😀" + mark},
		{"no text", text(limit-1) + "\xa0\xa0\xa0\xa0\xa0\xa0\xa0", text(limit-1) + "\xa0" + mark},
		{"no text either", text(limit-1) + "\xff\xff", text(limit-1) + "\xff" + mark},
	} {
		for _, again := range []bool{false, true} { // the second time it is packed at once
			cut = 0
			kept, recorded := logged(t, j, r, tt.sent)
			if kept != tt.want || recorded != tt.want {
				t.Errorf("%s: kept %d bytes that end in %.100q, recorded %d; want %d", tt.name, len(kept), kept[max(0, len(kept)-60):], len(recorded), len(tt.want))
			}
			want := uint64(0)
			if tt.sent != tt.want {
				want = 1
			}
			check(t, fmt.Sprint(tt.name, ", again ", again, ", values cut"), cut, want)
		}
	}
}

// Rules see a message that was cut as one that was, so the sieve lets it pass.
func TestSieveSeesCut(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), MaxFieldBytes: 1 << 10})
	r.Keep([]string{"MESSAGE"}, journal.Sieve{{Field: "MESSAGE", Op: journal.Contains, Text: "cut by journald-router"}})
	j.Print(text(1<<10), text(2<<10))
	j.Sync()
	var got []int
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if e != nil {
			got = append(got, len(e.Values(nil, "MESSAGE")[0]))
		}
	}
	check(t, "lengths", got, []int{1<<10 + len("… [cut by journald-router: longer than 1024 bytes]")})
}
