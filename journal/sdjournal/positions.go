package sdjournal

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// positions are how far each machine's entries were read, by its id: the position
// of a Machines. As text it has a line for each machine, its id, a space and its
// position, which may be any text of one line.
type positions map[string]string

func (p positions) String() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(p)) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(id + " " + p[id])
	}
	return b.String()
}

// parsePositions also takes the position of a Reader, a cursor or journal.Head,
// which it returns as common to all machines.
func parsePositions(text string) (p positions, common string, err error) {
	p = make(positions)
	for line := range strings.SplitSeq(text, "\n") {
		id, position, found := strings.Cut(line, " ")
		if !found || id != NoMachine && !isMachineID(id) {
			if len(p) == 0 && line == text {
				return p, text, nil
			}
			return nil, "", fmt.Errorf("the saved position has the line %q; want a machine id and a position", line)
		}
		p[id] = position
	}
	return p, "", nil
}
