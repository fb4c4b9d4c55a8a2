package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// sized is n entries whose fields repeat, as those of a journal do.
func sized(n, each int) []Routed {
	random := rand.NewChaCha8([32]byte{})
	entries := make([]Routed, n)
	for i := range entries {
		unique := make([]byte, each/2)
		random.Read(unique)
		entries[i] = Routed{
			Record: journal.NewRecord(fmt.Sprintf("c%d", i), time.UnixMicro(int64(i)), 0,
				journal.Field{Name: "MESSAGE", Value: unique},
				journal.Field{Name: "_SYSTEMD_UNIT", Value: make([]byte, each/2)}),
			To: []Target{{Action: "a", Rule: "rule"}},
		}
	}
	return entries
}

// What is large is stored compressed, what is small as it is; both come back.
func TestBlocksComeBackFromTheFile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []Routed
		key     []byte
	}{
		{"one small entry", sized(1, 500), keyRecords},
		{"just below the limit", sized(1, compressFrom-100), keyRecords},
		{"many entries", sized(100, 1000), keyCompressed},
		{"a large one", sized(1, 10<<20), keyCompressed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openSpool(t, t.TempDir())
			appendEntries(t, s, "p", tt.entries...)
			s = reopen(t, s)
			defer s.Close()
			batch := peek(t, s.Queue("a"), len(tt.entries)+1)
			if len(batch) != len(tt.entries) {
				t.Fatalf("%d deliveries came back, want %d", len(batch), len(tt.entries))
			}
			for i, d := range batch {
				if !bytes.Equal(tt.entries[i].Record.Packed(), d.Record.Packed()) {
					t.Fatalf("record %d is another one", i)
				}
			}
			stored, whole := 0, recordsSize([]journal.Record{tt.entries[0].Record})*len(tt.entries)
			s.db.View(func(tx *bolt.Tx) error {
				stored = len(tx.Bucket(bucketBlocks).Bucket(blockKey(1)).Get(tt.key))
				return nil
			})
			if string(tt.key) == string(keyCompressed) && stored > whole*2/3 || stored == 0 {
				t.Errorf("%d bytes are stored of %d", stored, whole)
			}
		})
	}
}

func TestDamagedBlockIsRefused(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "p", sized(100, 1000)...)
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketBlocks).Bucket(blockKey(1))
		return b.Put(keyCompressed, b.Get(keyCompressed)[:100])
	})
	if err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	defer s.Close()
	if batch, err := s.Queue("a").Peek(1); err == nil {
		t.Errorf("Peek = %v; want an error", batch)
	}
}
