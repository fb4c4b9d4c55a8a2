package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// intake is the time that journald itself takes for as many entries as the journal
// has, sent by one program as fast as it can: by the native protocol, with messages as
// long as those of the journal.
func (b *bench) intake() (seconds float64, err error) {
	j, err := journaltest.Run(journaltest.Options{Persistent: true})
	if err != nil {
		return 0, err
	}
	defer j.Close()
	random := rand.New(rand.NewPCG(1, 1))
	const flood = 100_000
	entries := make([][]journal.Field, flood)
	for i := range entries {
		message := fmt.Sprintf("%d %s", i, words(random, 40+random.IntN(360)))
		entries[i] = journaltest.Fields("MESSAGE", message, "PRIORITY", "6", "SYSLOG_IDENTIFIER", "flood")
	}
	start := time.Now()
	for _, fields := range entries {
		if err := j.Send(fields...); err != nil {
			return 0, err
		}
	}
	if err := j.Sync(); err != nil {
		return 0, err
	}
	return time.Since(start).Seconds() * float64(b.entries) / flood, nil
}
