package s3

import (
	"maps"
	"sync"

	"github.com/journald-router/journald-router/action"
)

// Entries of a batch that have the same key, the id left out, become one object, named
// by the first one's id. This is why no entry is lost, or in two objects, after a
// crash or a lost reply, as long as calls come one at a time and in order:
//
//   - Each call begins at the head of the queue, and its outcome is noted before the next
//     one begins (action.Overwriter). So at any time there is one batch at most of which
//     the bucket may have more than the queue knows, and it begins at the queue's head.
//   - In that batch, the first entry of an object is the first of its group in the whole
//     queue, and stays that until it has been accepted. However the batches are cut when
//     it comes again, shorter, longer, one by one, without the groups that were
//     accepted, it begins an object of its group, which has the same name, and takes the
//     place of the former one.
//   - What the former had beyond that is still in the queue, behind it: it had the same
//     outcome.
//
// The one thing left is an upload that is done late: the router has given it up, or was
// killed, its repeat is accepted, and then the service carries out the first one
// after all. Where the repeat had more entries, those would be gone. So after a start, and
// after a failure, a call has one entry of a group until one of it has been accepted
// (caution): less than that no other upload of the name can have. What is late may then
// put entries into two objects, but loses none.
//
// With several calls at a time (concurrency), a repeat may be cut so that an object in
// the middle keeps its place beside the new ones: entries may be in two objects, and the
// caution does not hold.

// object is what becomes one.
type object struct {
	group       string
	key         string
	contentType string
	first       *action.Message
	places      []int // in the batch
	batch       []action.Message
	err         error
}

// objects sorts a batch into objects, in the order of their first entries. A message
// that cannot have a key, or begin an object, has its error in errs.
func (a *Action) objects(batch []action.Message, errs []error) (objects []*object) {
	open := make(map[string]*object)
	for i := range batch {
		m := &batch[i]
		group, err := a.key.group(m)
		if err != nil {
			errs[i] = err
			continue
		}
		if o := open[group]; o != nil {
			o.places = append(o.places, i)
			continue
		}
		o := &object{group: group, first: m, places: []int{i}, batch: batch}
		if o.key, errs[i] = a.key.of(m); errs[i] != nil {
			continue
		}
		if o.contentType, errs[i] = a.typeOf(m); errs[i] != nil {
			continue
		}
		objects = append(objects, o)
		open[group] = o
	}
	return objects
}

// Limits of one call.
const (
	mostBytes   = 64 << 20 // about, before they are compressed
	mostObjects = 200      // of as many keys: each is a request, and all are within the time limit
)

// Fit implements action.Fitter.
func (a *Action) Fit(batch []action.Message) int {
	size, groups, unsure := 0, make(map[string]bool), a.caution.unsure()
	for i := range batch {
		if size += sizeOf(&batch[i]); size > mostBytes {
			return max(i, 1)
		}
		group, err := a.key.group(&batch[i])
		if err != nil {
			continue
		}
		if groups[group] && unsure(group) {
			return i
		}
		if groups[group] = true; len(groups) > mostObjects {
			return i
		}
	}
	return len(batch)
}

// caution knows of which groups an upload may still be under way of which nobody has
// heard the end.
type caution struct {
	mu    sync.Mutex
	left  int             // entries from the queue's head on that it may have
	known map[string]bool // groups of which an entry has been accepted since
}

// newCaution is for a queue of which an earlier run may have sent so many entries.
func newCaution(most int) *caution {
	return &caution{left: most, known: make(map[string]bool)}
}

// unsure returns what says that of a group there may be such an upload.
func (c *caution) unsure() func(group string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 {
		return func(string) bool { return false }
	}
	known := maps.Clone(c.known)
	return func(group string) bool { return !known[group] }
}

// note is told what became of the objects.
func (c *caution) note(objects []*object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, failed := 0, false
	for _, o := range objects {
		entries += len(o.places)
		failed = failed || o.err != nil && !action.IsPermanent(o.err)
	}
	switch {
	case failed:
		c.left = max(c.left, entries)
		clear(c.known)
	case c.left > 0:
		for _, o := range objects {
			c.known[o.group] = true
		}
		if c.left -= entries; c.left <= 0 {
			clear(c.known)
		}
	}
}
