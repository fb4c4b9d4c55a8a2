package sdjournal

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// machines are the ids that there is a position for, but for NoMachine.
func (p positions) machines() (ids []string) {
	for id := range p {
		if id != NoMachine {
			ids = append(ids, id)
		}
	}
	return ids
}

// ids are those of the machines that have a reader.
func (r *Machines) ids() (ids []string) {
	for _, m := range r.list {
		if m.id != NoMachine {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// discover looks for new machines when files came or went, and every lookEvery,
// as a file may have a new machine's entries appended to it. It says whether it
// has found any. A look that fails, at a damaged file, costs only a delay or the
// machine that is in no other file.
func (r *Machines) discover() (found bool, err error) {
	base := r.list[len(r.list)-1].base
	if r.options.Once || time.Since(r.looked) < lookEvery && base.c.changes == r.changes {
		return false, nil
	}
	r.looked, r.changes = time.Now(), base.c.changes
	ids, _ := base.machineIDs()
	there := r.ids()
	if !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(there, id) }) {
		return false, nil
	}
	return true, r.arrange(append(there, ids...))
}

// arrange sees to it that each machine of these ids has a reader, or that the only
// one has a reader without a match. After an error there are none.
func (r *Machines) arrange(ids []string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := r.update(); err != nil {
		return err
	}
	r.turn, r.given = 0, 0
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if id, ok := r.only(ids); ok {
		return r.readOne(id)
	}
	return r.readEach(ids)
}

// only is the machine whose entries are all that there is and ever was, or
// NoMachine; or false. Its position is also that of the entries without an id.
func (r *Machines) only(ids []string) (id string, ok bool) {
	known := slices.Collect(maps.Keys(r.known))
	switch {
	case len(ids) > 1 || len(known) > 1:
		return "", false
	case len(ids) == 0 && len(known) == 0:
		return NoMachine, true
	case len(ids) == 0:
		return known[0], true
	case len(known) == 0 || known[0] == ids[0]:
		return ids[0], true
	}
	// Entries without an id may have been read up to a later time than the machine's first.
	return ids[0], known[0] == NoMachine && r.known[NoMachine] == journal.Head
}

// readOne has one reader read whatever there is, under that id.
func (r *Machines) readOne(id string) error {
	if err := r.Close(); err != nil { // one that has read nothing yet
		return err
	}
	r.single = true
	after, ok := r.known[id]
	if !ok {
		after = r.unknown()
	}
	if err := r.add(id, "", after); err != nil {
		return err
	}
	r.known = positions{id: r.list[0].position}
	return nil
}

// readEach has one reader for each machine, and one for the entries that bear no
// id.
func (r *Machines) readEach(ids []string) error {
	if r.single {
		if err := r.Close(); err != nil {
			return err
		}
	}
	r.single = false
	unknown := r.unknown()
	if _, ok := r.known[NoMachine]; !ok && len(r.known) == 1 { // they were read along with the only machine's
		for _, position := range r.known {
			r.known[NoMachine] = ofReader(position)
		}
	}
	// The discovery of ids, and whoever waits, want NoMachine to be the last.
	if len(r.list) > 0 {
		last := r.list[len(r.list)-1]
		r.list = r.list[:len(r.list)-1]
		defer func() { r.list = append(r.list, last) }()
	} else {
		ids = append(ids, NoMachine)
	}
	there := r.ids()
	for _, id := range ids {
		if slices.Contains(there, id) {
			continue
		}
		after, ok := r.known[id]
		if !ok {
			if after = unknown; id == NoMachine {
				after = ofReader(after)
			}
		}
		if err := r.add(id, id, after); err != nil {
			return err
		}
	}
	return nil
}

// unknown is the position of a machine that has none of its own.
func (r *Machines) unknown() string {
	if len(r.known) == 0 {
		return r.common
	}
	return journal.Head // it was not seen before, so nothing of it was read
}

// ofReader is what a Reader knows of a position that may be a Layer's: what the layer
// has added is about a machine's entries.
func ofReader(position string) string {
	of, _, _ := strings.Cut(position, " ")
	return of
}

// add makes a reader, of the entries of one machine or, with an empty only, of all
// that are not another's.
func (r *Machines) add(id, only, after string) (err error) {
	m := &machine{id: id}
	o := r.options
	o.After, o.Machine, o.sole = after, only, ""
	if only == "" {
		o.sole = id
	}
	if r.options.OnGap != nil {
		o.OnGap = func(g journal.Gap) { r.gap(m, g) }
	}
	if m.reader, err = r.open(o); err != nil {
		return m.wrap(err)
	}
	r.list = append(r.list, m)
	m.base = baseOf(m.reader)
	m.reader.Keep(r.keep, r.sieves...)
	if m.position, err = m.reader.Cursor(); err != nil {
		return m.wrap(err)
	}
	r.known[id] = m.position
	return nil
}

func baseOf(reader journal.Reader) *Reader {
	for {
		layer, ok := reader.(Layer)
		if !ok {
			return reader.(*Reader)
		}
		reader = layer.Inner()
	}
}

// gap reports that entries of the machine are lost. The reader of those without
// an id stands on others', so of a gap in them it only knows if there are any.
func (r *Machines) gap(m *machine, g journal.Gap) {
	if m.id == NoMachine && !r.single && !m.gave {
		return
	}
	if m.id != NoMachine {
		g.Machine = m.id
	}
	r.options.OnGap(g)
}
