package action

import (
	"encoding/json"
	"net/http"
	"slices"
)

// TransportOf is for tests that connect a client in their own way.
func TransportOf(c *http.Client) *http.Transport { return c.Transport.(*transport).current }

// FunctionNames are those that users write.
func FunctionNames() (names []string) {
	for name := range functions {
		if name[0] != '_' {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// CompareNumbers compares two numbers as they are written.
func CompareNumbers(a, b string) (int, bool) { return compare(json.Number(a), json.Number(b)) }
