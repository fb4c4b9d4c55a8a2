package sdjournal

import (
	sd "github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/journald-router/journald-router/journal"
)

// libsystemd puts the entries of two boots in the order of the wall clock, where
// journald has begun to number anew between them, as it does after a crash. If the
// clock was ahead until then, or starts behind because the machine has none that
// runs on without power, the running boot's entries are older than those that were
// read last, and sd_journal_next passes over them. There the boots are read one
// after the other: first what is left of the earlier ones, then the running one.
//
// In a directory there is no running boot.
type boots int

const (
	allBoots     boots = iota // in libsystemd's order
	earlierBoots              // until their end
	runningBoot
)

// chooseBoots is called before the first position is taken.
func (r *Reader) chooseBoots() error {
	if r.options.Directory != "" {
		return nil
	}
	running, err := r.journal.GetBootID()
	if err != nil {
		return err
	}
	after := parseCursor(r.options.After)
	if after.boot == running {
		return r.passEarlier(running)
	}
	first, err := r.firstOf(running)
	if err != nil {
		return err
	}
	last, _, err := r.tail()
	if err != nil {
		return err
	}
	switch {
	case last == "":
		return nil
	case parseCursor(last).boot == running && (after.boot == "" || parseCursor(first).compare(after) > 0):
		return nil
	case first != "" && r.options.After == "" && r.options.Start == journal.End:
		return r.read(runningBoot, running)
	}
	return r.read(earlierBoots, running)
}

// passEarlier has earlier boots' entries passed over where there are any after the
// position, which is in the running boot: they were read before it.
func (r *Reader) passEarlier(running string) error {
	if err := r.read(earlierBoots, running); err != nil {
		return err
	}
	if len(r.bootIDs) > 0 {
		found, err := r.seekCursor(r.options.After)
		if err != nil {
			return err
		}
		if found {
			return r.read(runningBoot, running)
		}
	}
	return r.read(allBoots, running)
}

// read narrows the handle down to these boots. It forgets the position.
func (r *Reader) read(which boots, running string) error {
	r.boots, r.bootIDs = which, nil
	switch which {
	case runningBoot:
		r.bootIDs = []string{running}
	case earlierBoots:
		ids, err := r.journal.GetUniqueValues(sd.SD_JOURNAL_FIELD_BOOT_ID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if id != running {
				r.bootIDs = append(r.bootIDs, id)
			}
		}
	}
	return r.setMatches(nil)
}

// firstOf returns the cursor of the boot's first entry, if it has any. It forgets the
// position.
func (r *Reader) firstOf(boot string) (cursor string, err error) {
	r.journal.FlushMatches()
	if err := r.journal.AddMatch(sd.SD_JOURNAL_FIELD_BOOT_ID + "=" + boot); err != nil {
		return "", err
	}
	if err := r.journal.SeekHead(); err != nil {
		return "", err
	}
	n, err := r.journal.Next()
	if err == nil && n > 0 {
		cursor, err = r.journal.GetCursor()
	}
	if err != nil {
		return "", err
	}
	return cursor, r.setMatches(nil)
}

// nextBoot is called at the end of the earlier boots. It goes over to the running
// one, if that has logged anything yet, and says whether it has.
func (r *Reader) nextBoot() (bool, error) {
	running, err := r.journal.GetBootID()
	if err != nil {
		return false, err
	}
	cursor, err := r.cursor()
	if err != nil {
		return false, err
	}
	first, err := r.firstOf(running)
	if err != nil {
		return false, err
	}
	switch {
	case first == "" && cursor == journal.Head:
		return false, r.seekHead()
	case first == "":
		return false, r.resume(cursor)
	}
	if err := r.read(runningBoot, running); err != nil {
		return false, err
	}
	if r.options.Once {
		if err := r.findLast(); err != nil {
			return false, err
		}
	}
	if err := r.seekStart(); err != nil {
		return false, err
	}
	n, err := r.journal.Next()
	if err != nil {
		return false, err
	}
	return true, r.stand(cursor, n > 0, r.resumedAfterLost) // which is a gap before this boot
}
