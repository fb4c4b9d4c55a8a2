// Package stored reads back what a private journald has, for tests of programs that log.
package stored

import (
	"io"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// In returns all entries that the journald has stored, in their order.
func In(t testing.TB, j *journaltest.Journald) (all []journal.Record) {
	t.Helper()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	r, err := sdjournal.Open(sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, MaxFieldBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		e, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		record, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, record)
	}
}
