package rules

import "slices"

// An alternative is conditions that must all hold, in the order written.
type alternative []condition

// A condition is what one field must be.
type condition struct {
	field   string
	matcher matcher
}

// A matcher is what the values of one field must be: any of its allOfs.
type matcher []*allOf

// An allOf is operators that must all hold: the tests on one and the same value,
// if there are any, the others on all the values of the field together.
type allOf struct {
	tests   []test
	not     []matcher // none of these matches
	present *bool     // whether there must be a value at all
}

// hit is the value that made a matcher hold; its index is -1 where it holds by
// what is not there.
type hit struct {
	index int
	one   *allOf
}

// find tells whether the matcher holds for a field with these values.
func (m matcher) find(values [][]byte) (hit, bool) {
	for _, one := range m {
		if i, ok := one.find(values); ok {
			return hit{i, one}, true
		}
	}
	return hit{}, false
}

func (a *allOf) find(values [][]byte) (index int, ok bool) {
	if a.present != nil && *a.present != (len(values) > 0) {
		return 0, false
	}
	for _, not := range a.not {
		if _, ok := not.find(values); ok {
			return 0, false
		}
	}
	if len(a.tests) == 0 {
		return -1, true
	}
	for i, value := range values {
		if a.matches(value) {
			return i, true
		}
	}
	return 0, false
}

func (a *allOf) matches(value []byte) bool {
	for _, t := range a.tests {
		if !t.match(value) {
			return false
		}
	}
	return true
}

// strip returns the length of the prefix that value was found by.
func (a *allOf) strip(value []byte) int {
	n := 0
	for _, t := range a.tests {
		if p, ok := t.(prefixTest); ok {
			n = max(n, p.longest(value))
		}
	}
	return n
}

// capture adds what the regexes found in value. Of two groups of one name the
// first that is not empty stays.
func (a *allOf) capture(value []byte, m *Match) {
	for _, t := range a.tests {
		r, ok := t.(regexTest)
		if !ok {
			continue
		}
		for _, re := range r {
			if groups := re.FindSubmatch(value); groups != nil {
				m.addCaptures(re.SubexpNames(), groups)
				break
			}
		}
	}
}

func (m *Match) addCaptures(names []string, groups [][]byte) {
	for i, name := range names {
		if name == "" {
			continue
		}
		if m.Captures == nil {
			m.Captures = make(map[string]string)
		}
		if m.Captures[name] == "" {
			m.Captures[name] = string(groups[i])
		}
	}
}

// cost is how long the matcher takes, roughly: that of its slowest part.
func (m matcher) cost() int {
	most := 0
	for _, one := range m {
		for _, t := range one.tests {
			most = max(most, t.cost())
		}
		for _, not := range one.not {
			most = max(most, not.cost())
		}
	}
	return most
}

// captures appends the names of the groups that a match can have.
func (m matcher) captures(names []string) []string {
	for _, one := range m {
		for _, t := range one.tests {
			r, ok := t.(regexTest)
			if !ok {
				continue
			}
			for _, re := range r {
				for _, name := range re.SubexpNames() {
					if name != "" && !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}
