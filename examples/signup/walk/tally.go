package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A tally counts things at their destinations, as texts: what was asked for, and what has
// arrived, so that the two can be compared.
type tally map[string]map[string]int

// The destinations.
const (
	inSlack  = "Slack"
	inMail   = "mail"
	inBucket = "S3"
	inReport = "SQL report"
	inBodies = "kept bodies"
)

func (t tally) add(destination, thing string, n int) {
	if t[destination] == nil {
		t[destination] = make(map[string]int)
	}
	t[destination][thing] += n
}

func (t tally) count(destination string) (n int) {
	for _, c := range t[destination] {
		n += c
	}
	return n
}

// lacks says what of another tally is not in this one; nothing if it is empty.
func (t tally) lacks(other tally) (list []string) {
	for _, destination := range slices.Sorted(maps.Keys(other)) {
		things := other[destination]
		for _, thing := range slices.Sorted(maps.Keys(things)) {
			if has, n := t[destination][thing], things[thing]; has < n {
				list = append(list, fmt.Sprintf("%s: %d of %d: %.100q", destination, n-has, n, thing))
			}
		}
	}
	return list
}

// differs is an error that names what is missing and what is there too often.
func (t tally) differs(want tally) error {
	missing, extra := t.lacks(want), want.lacks(t)
	if missing == nil && extra == nil {
		return nil
	}
	return fmt.Errorf("missing: %d\n\t%s\nnot asked for, or twice: %d\n\t%s", len(missing), first(missing), len(extra), first(extra))
}

func first(list []string) string { return strings.Join(list[:min(len(list), 10)], "\n\t") }
