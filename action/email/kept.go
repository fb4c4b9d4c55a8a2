package email

import (
	"slices"
	"sync"
	"time"
)

const (
	// keepFor is how long a connection without a mail is kept: shorter than servers do,
	// whose least is 5 minutes (RFC 5321, section 4.5.3.2.7).
	keepFor = 30 * time.Second
	// keepMost is how many are kept.
	keepMost = 8
)

// kept are the connections that wait for their next mail.
type kept struct {
	mu     sync.Mutex
	conns  []*conn
	closed bool
}

// take returns the connection that was used last, or nil.
func (k *kept) take() *conn {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.conns) == 0 {
		return nil
	}
	c := k.conns[len(k.conns)-1]
	k.conns = k.conns[:len(k.conns)-1]
	c.idle.Stop()
	return c
}

// put keeps the connection for a while.
func (k *kept) put(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || len(k.conns) == keepMost {
		go c.quit()
		return
	}
	k.conns = append(k.conns, c)
	c.idle = time.AfterFunc(keepFor, func() {
		if k.remove(c) {
			c.quit()
		}
	})
}

// remove says whether c had not been taken.
func (k *kept) remove(c *conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.conns, c)
	if i < 0 {
		return false
	}
	k.conns = slices.Delete(k.conns, i, i+1)
	return true
}

func (k *kept) close() {
	k.mu.Lock()
	conns := k.conns
	k.conns, k.closed = nil, true
	k.mu.Unlock()
	var all sync.WaitGroup
	for _, c := range conns {
		c.idle.Stop()
		all.Go(c.quit)
	}
	all.Wait()
}
