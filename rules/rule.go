// Package rules is the rule language: which journal entries the user wants, and
// where each is to go. Decode reads a rule from the configuration, New makes a
// Set of them, and a Matcher tries entries on it.
package rules

import (
	"regexp"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/internal/strict"
)

// A Rule says which entries go to which actions.
type Rule struct {
	// Name is the user's name for it.
	Name string
	// Actions are the names of the actions that an entry is given to.
	Actions []string
	// Final ends the search: an entry that matches is shown to no later rule.
	Final bool
	// Text is the rule's own `text:` template; HasText is false without one.
	Text    string
	HasText bool
	// Parse is the rule's own `parse:`, if it Exists; package config knows what it means.
	Parse strict.Value

	// Where the rule and its parts stand in the user's file, for the errors that
	// only package config can find. ActionPos has an element for each action.
	Pos, TextPos strict.Pos
	ActionPos    []strict.Pos

	alternatives []alternative // any may hold
}

// Captures are the names of the groups that the rule's regexes have, in the
// order they are written in.
func (r *Rule) Captures() []string {
	var names []string
	for _, alt := range r.alternatives {
		for _, c := range alt {
			names = c.matcher.captures(names)
		}
	}
	return names
}

// Trusted tells whether an entry must come from where the rule says, because
// each of its alternatives names a value of a field that journald itself writes
// and that tells who logged. Of any other rule, every local user can log a line
// that matches (systemd.journal-fields(7), "Trusted Journal Fields").
func (r *Rule) Trusted() bool {
	for _, alt := range r.alternatives {
		if !slices.ContainsFunc(alt, condition.pins) {
			return false
		}
	}
	return true
}

// untelling are the fields that journald writes but that say nothing of who
// logged: the same in everybody's entries, or chosen by the logging process, as
// its name and command line are, or by the user, as the names of user units. Any
// user can run logger, and any other program so that it logs what he likes
// (LD_PRELOAD), and has every capability in a user namespace of his own.
var untelling = []string{
	"_BOOT_ID", "_CAP_EFFECTIVE", "_CMDLINE", "_COMM", "_EXE", "_HOSTNAME", "_LINE_BREAK", "_MACHINE_ID", "_NAMESPACE", "_RUNTIME_SCOPE",
	"_SOURCE_BOOTTIME_TIMESTAMP", "_SOURCE_MONOTONIC_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "_STREAM_ID",
	"_SYSTEMD_USER_SLICE", "_SYSTEMD_USER_UNIT",
}

// strangers are what the entries of two users have who have nothing in common: a
// condition that both fulfil is one that anybody does.
var strangers = map[string][][2]string{
	"_UID":               {{"4242", "60123"}},
	"_GID":               {{"4242", "60123"}},
	"_AUDIT_LOGINUID":    {{"4242", "60123"}},
	"_SYSTEMD_OWNER_UID": {{"4242", "60123"}},
	"_SYSTEMD_SLICE":     {{"user-4242.slice", "user-60123.slice"}},
	"_SYSTEMD_UNIT":      {{"user@4242.service", "user@60123.service"}, {"session-c3.scope", "session-81.scope"}},
	"_SYSTEMD_CGROUP":    {{"/user.slice/user-4242.slice/session-c3.scope", "/user.slice/user-60123.slice/session-81.scope"}},
}

func (c condition) pins() bool {
	if !strings.HasPrefix(c.field, "_") || slices.Contains(untelling, c.field) {
		return false
	}
	for _, one := range c.matcher {
		if !slices.ContainsFunc(one.tests, func(t test) bool { return pins(c.field, t) }) {
			return false
		}
	}
	return !slices.ContainsFunc(strangers[c.field], func(two [2]string) bool { return c.takes(two[0]) && c.takes(two[1]) })
}

func (c condition) takes(value string) bool {
	_, ok := c.matcher.find([][]byte{[]byte(value)})
	return ok
}

// pins tells whether a test lets only some values through. Of the transports
// only these are closed to users, and of the control groups a user names those below
// his own.
func pins(field string, t test) bool {
	if field == "_TRANSPORT" {
		exact, ok := t.(equalsTest)
		return ok && !slices.ContainsFunc(exact, func(s []byte) bool {
			return !slices.Contains([]string{"audit", "driver", "kernel"}, string(s))
		})
	}
	if field == "_SYSTEMD_CGROUP" {
		switch t.(type) {
		case equalsTest, prefixTest:
			return true
		}
		return false
	}
	switch t := t.(type) {
	case globTest:
		return !slices.ContainsFunc(t, glob.matchesAll)
	case anyTest:
		return !slices.ContainsFunc(t, func(one test) bool { return !pins(field, one) })
	case regexTest:
		// A regex that matches nothing at all in particular, as .* does.
		return !slices.ContainsFunc(t, func(re *regexp.Regexp) bool { return re.Match(nil) })
	}
	return true
}

// levels are the words for PRIORITY (syslog(3)), by their number.
var levels = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// level turns a word for a priority, or its number, into the number.
func level(word string) (string, bool) {
	switch word {
	case "error":
		word = "err"
	case "warn":
		word = "warning"
	}
	if i := slices.Index(levels, word); i >= 0 {
		return string(rune('0' + i)), true
	}
	return word, len(word) == 1 && word[0] >= '0' && word[0] <= '7'
}
