package email

import (
	"slices"
	"sync"
)

// partly has the deliveries that some recipients have and others do not, so that the
// next try does not bother those again. It is the process's and not an Action's, which
// a reload replaces; an id stands for one delivery, of whichever action.
var partly = partlyAccepted{most: 50_000}

type partlyAccepted struct {
	most int // how many recipients of all deliveries; beyond that the oldest delivery is forgotten

	mu    sync.Mutex
	taken map[string][]string // by the delivery's id
	count int                 // of recipients
	order []string            // the ids, the oldest first
}

// add notes who has got the delivery.
func (p *partlyAccepted) add(id string, taken []string) {
	if len(taken) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == nil {
		p.taken = make(map[string][]string)
	}
	before, ok := p.taken[id]
	if !ok {
		p.order = append(p.order, id)
	}
	p.taken[id] = slices.Concat(before, taken)
	p.count += len(taken)
	for p.count > p.most && p.order[0] != id {
		p.count -= len(p.taken[p.order[0]])
		delete(p.taken, p.order[0])
		p.order = p.order[1:]
	}
}

// without returns those of the recipients that have not got it.
func (p *partlyAccepted) without(id string, recipients []string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.taken[id]
	return slices.DeleteFunc(recipients, func(one string) bool { return slices.Contains(taken, one) })
}

// forget is for what everybody has.
func (p *partlyAccepted) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken, ok := p.taken[id]
	if !ok {
		return
	}
	p.count -= len(taken)
	delete(p.taken, id)
	p.order = slices.DeleteFunc(p.order, func(one string) bool { return one == id })
}
