package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// latency is how long half, and 99 of 100, of some requests took at most.
type latency struct{ p50, p99 time.Duration }

// measure makes a request each 3 ms, of which one in 20 is a signup, and the others are
// page views.
func measure(c *customers, requests int) (l latency, err error) {
	var all []time.Duration
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for n := range requests {
		<-pace.C
		began := time.Now()
		if n%20 == 0 {
			err = c.signUp("Ada")
		} else {
			err = c.look(fmt.Sprint("/products/", n%7))
		}
		if err != nil {
			return l, err
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100]}, nil
}

func (l latency) print(out io.Writer, state string, first latency) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Fprintf(out, "  %-24s %6.2f %6.2f   %.1f, %.1f\n", state, ms(l.p50), ms(l.p99),
		float64(l.p50)/float64(first.p50), float64(l.p99)/float64(first.p99))
}
