package sdjournal

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// place is what a cursor says. sd_journal_get_cursor(3) wants cursors to be
// opaque, so nothing but the finer points of gaps depends on it.
type place struct {
	source    string // of the sequence numbers: one journald, mostly
	seqnum    uint64
	boot      string
	monotonic uint64
	realtime  uint64 // microseconds
	hash      uint64
}

// parseCursor reads "s=SOURCE;i=SEQNUM;b=BOOT;m=MONOTONIC;t=REALTIME;x=HASH", the
// numbers in hexadecimal. What is missing stays zero.
func parseCursor(cursor string) place {
	var p place
	for item := range strings.SplitSeq(cursor, ";") {
		key, value, _ := strings.Cut(item, "=")
		number, _ := strconv.ParseUint(value, 16, 64)
		switch key {
		case "s":
			p.source = value
		case "i":
			p.seqnum = number
		case "b":
			p.boot = value
		case "m":
			p.monotonic = number
		case "t":
			p.realtime = number
		case "x":
			p.hash = number
		}
	}
	return p
}

// time is the zero one where the cursor has none.
func (p place) time() time.Time {
	if p.realtime == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(p.realtime))
}

// numberedWith says whether one journald numbered both.
func (p place) numberedWith(q place) bool { return p.source != "" && p.source == q.source }

// compare is negative where the entry at p comes before that at q, as libsystemd
// orders them (journal_file_compare_locations in systemd's journal-file.c).
func (p place) compare(q place) int {
	if p.source == q.source && p.seqnum != q.seqnum {
		return cmp.Compare(p.seqnum, q.seqnum)
	}
	if p.boot == q.boot && p.monotonic != q.monotonic {
		return cmp.Compare(p.monotonic, q.monotonic)
	}
	return cmp.Or(cmp.Compare(p.realtime, q.realtime), cmp.Compare(p.hash, q.hash))
}

// sameEntry says whether two cursors are of one entry in two files: journald
// moves the entries of the early boot from /run to /var, and numbers them anew.
func sameEntry(a, b string) bool {
	p, q := parseCursor(a), parseCursor(b)
	p.source, p.seqnum = q.source, q.seqnum
	return p == q && p.boot != ""
}

// after says which of two entries is the later one: by their numbers where one
// journald gave them, else by the clock.
func (p place) after(q place) bool {
	if p.numberedWith(q) {
		return p.seqnum > q.seqnum
	}
	return p.realtime > q.realtime
}
