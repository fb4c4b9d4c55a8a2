package strict

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean is the hint for a word that is not known: the nearest of those that
// are, or all of them. It is empty where none is known.
func DidYouMean(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	const enough = 20
	if len(known) > enough {
		known = append(known[:enough:enough], "…")
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest returns the known word that was probably meant, or an empty string.
func nearest(word string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if len(word) >= 3 && (strings.HasPrefix(k, word) || strings.HasPrefix(word, k) && len(k) >= 3) {
			d = min(d, 1)
		}
		// Of a short word more than a third must be right.
		if d < least && d*3 <= max(len(word), len(k)) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour to get from a to b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
