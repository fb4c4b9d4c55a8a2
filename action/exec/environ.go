package exec

import (
	"bytes"
	"os"
	"strings"

	"github.com/journald-router/journald-router/action"
)

const (
	// maxValue is the longest value that becomes a variable: execve(2) refuses
	// a string of more than 128 KiB (MAX_ARG_STRLEN) with E2BIG.
	maxValue = 64 << 10
	// maxTotal is how long all variables of fields may be together: execve(2)
	// refuses more than a quarter of the stack's limit, of 8 MiB mostly.
	maxTotal = 256 << 10
)

// inherited are the daemon's variables that a command gets to see. Others may be
// secrets of the daemon's own.
var inherited = []string{"PATH", "HOME", "LANG", "TZ"}

// environ is the command's environment, less the user's own part:
//
//	PATH, HOME, LANG, TZ   those of the daemon
//	ROUTER_ID              the delivery's id; a repeat has the same
//	ROUTER_RULE            the name of the rule that matched
//	ROUTER_TEXT            the text, or MESSAGE
//	JOURNAL_MESSAGE, ...   a variable for each field: its first value
//
// A value that has a NUL in it or is longer than 64 KiB cannot be a variable,
// nor can those in excess of 256 KiB together: they are only in the JSON on
// standard input.
func environ(m action.Message) []string {
	var env []string
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	total := 0
	add := func(name string, value []byte) {
		if len(value) > maxValue || total+len(value) > maxTotal || bytes.IndexByte(value, 0) >= 0 {
			return
		}
		total += len(value)
		env = append(env, name+"="+string(value))
	}
	add("ROUTER_ID", []byte(m.ID))
	add("ROUTER_RULE", []byte(m.Rule))
	add("ROUTER_TEXT", []byte(m.Text))
	seen := make(map[string]bool)
	for name, value := range m.Record.Fields() {
		if !seen[string(name)] && isFieldName(string(name)) {
			seen[string(name)] = true
			add("JOURNAL_"+string(name), value)
		}
	}
	return env
}

// isFieldName tells whether name is one that journald admits, and a shell can
// read as a part of a variable's.
func isFieldName(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
