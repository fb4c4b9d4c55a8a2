package rules

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/internal/strict"
)

func TestDecode(t *testing.T) {
	list := parse(t, `
- name: signups
  prefix: "SLACK: "
  text: '{{ .Text }}'
  actions:
    - growth
    - archive
  final: true
- {name: b.2_c-D, match: {MESSAGE: x}, actions: one}
`)
	want := []*Rule{
		{
			Name: "signups", Actions: []string{"growth", "archive"}, Final: true, Text: "{{ .Text }}", HasText: true,
			Pos: strict.Pos{File: "rules.yaml", Line: 2, Column: 3}, TextPos: strict.Pos{File: "rules.yaml", Line: 4, Column: 9},
			ActionPos: []strict.Pos{{File: "rules.yaml", Line: 6, Column: 7}, {File: "rules.yaml", Line: 7, Column: 7}},
		},
		{
			Name: "b.2_c-D", Actions: []string{"one"},
			Pos:       strict.Pos{File: "rules.yaml", Line: 9, Column: 3},
			ActionPos: []strict.Pos{{File: "rules.yaml", Line: 9, Column: 49}},
		},
	}
	if diff := cmp.Diff(want, list, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".alternatives" || p.Last().String() == ".Parse" }, cmp.Ignore())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBadRules(t *testing.T) {
	const (
		everything = "to match every entry, write match: {MESSAGE: {exists: true}}"
		fieldNames = "upper-case letters, digits and underscores, no digit first, at most 64: MESSAGE, _SYSTEMD_UNIT"
	)
	// Each rule begins as "- {name: r, actions: a, ": the rest begins in column 25.
	tests := []struct{ rule, want string }{
		{``, `1:3: the rule says nothing of the entries it is for (add prefix: or match:; ` + everything + `)`},
		{`match: `, `1:32: match is empty (` + everything + `)`},
		{`match: {}`, `1:32: match is empty (` + everything + `)`},
		{`match: []`, `1:32: match is an empty list (` + everything + `)`},
		{`match: [{}]`, `1:33: match is empty (` + everything + `)`},
		{`match: [{A: b}, ~]`, `1:41: match is empty (` + everything + `)`},
		{`match: SLACK`, `1:32: match wants a map of journal fields, or a list of such maps, not text`},
		{`match: [SLACK]`, `1:33: match wants a map of journal fields, or a list of such maps, not text`},
		{`prefix: ""`, `1:33: prefix is empty, which every value matches (for any value at all, write exists: true)`},
		{`prefix: [a, ""]`, `1:37: prefix is empty, which every value matches (for any value at all, write exists: true)`},
		{`prefix: []`, `1:33: prefix is an empty list`},
		{`prefix: {}`, `1:33: prefix wants text, or a list of texts, not a map`},
		{`prefix: `, `1:33: prefix is empty, it wants text, or a list of texts`},
		{`prefix: a, final: maybe`, `1:43: final wants true or false, not "maybe"`},
		{`prefix: a, text: [b]`, `1:42: text wants text, not a list`},
		{`prefix: a, text: ""`, `1:42: text is empty (leave it out for the default)`},
		{`prefix: a, mach: {A: b}`, `1:36: unknown key "mach" (did you mean "match"?)`},
		// Names of fields.
		{`match: {message: a}`, `1:33: "message" is not the name of a journal field (did you mean MESSAGE?)`},
		{`match: {_systemd-unit: a}`, `1:33: "_systemd-unit" is not the name of a journal field (did you mean _SYSTEMD_UNIT?)`},
		{`match: {Syslog Identifier: a}`, `1:33: "Syslog Identifier" is not the name of a journal field (did you mean SYSLOG_IDENTIFIER?)`},
		{`match: {1ST: a}`, `1:33: "1ST" is not the name of a journal field (` + fieldNames + `)`},
		{`match: {"": a}`, `1:33: "" is not the name of a journal field (` + fieldNames + `)`},
		{`match: {Ä: a}`, `1:33: "Ä" is not the name of a journal field (` + fieldNames + `)`},
		{`match: {` + strings.Repeat("A", 65) + `: a}`, `1:33: "` + strings.Repeat("A", 40) + `…" is not the name of a journal field (` + fieldNames + `)`},
		{`match: {__REALTIME_TIMESTAMP: a}`, `1:33: "__REALTIME_TIMESTAMP" is not the name of a journal field (what begins with __ is added by journalctl, and is in no entry)`},
		{`match: {prefix: a}`, `1:33: "prefix" is not the name of a journal field (an operator goes below a field: {MESSAGE: {prefix: …}})`},
		{`match: {A: b, A: c}`, `1:39: key "A" is there twice, first in line 1`},
		// Values.
		{`match: {A: }`, `1:36: A is empty, it wants a value, a list of values, or a map of operators (write "" for an empty value, {exists: true} for any)`},
		{`match: {A: []}`, `1:36: A is an empty list, which no value is in`},
		{`match: {A: [b, [c]]}`, `1:40: A wants text, not a list`},
		{`match: {A: [b, ~]}`, `1:40: A is empty, it wants text`},
		{`match: {A: {}}`, `1:36: A has no operators (at_least, at_most, contains, equals, exists, not, prefix, regex, suffix)`},
		{`match: {PRIORITY: errr}`, `1:43: PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not "errr" (did you mean "err"?)`},
		{`match: {PRIORITY: [3, 8]}`, `1:47: PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not "8" (known: alert, crit, debug, emerg, err, info, notice, warning)`},
		{`match: {PRIORITY: {equals: 03}}`, `1:52: PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not "03" (known: alert, crit, debug, emerg, err, info, notice, warning)`},
		{`match: {PRIORITY: {at_most: high}}`, `1:53: PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not "high" (known: alert, crit, debug, emerg, err, info, notice, warning)`},
		// Operators.
		{`match: {A: {prefx: b}}`, `1:37: unknown operator "prefx" (did you mean "prefix"?)`},
		{`match: {A: {glob: b}}`, `1:37: unknown operator "glob" (known: at_least, at_most, contains, equals, exists, not, prefix, regex, suffix)`},
		{`match: {A: {suffix: ""}}`, `1:45: suffix is empty, which every value matches (for any value at all, write exists: true)`},
		{`match: {A: {contains: [a, ""]}}`, `1:51: contains is empty, which every value matches (for any value at all, write exists: true)`},
		{`match: {A: {contains: {}}}`, `1:47: contains wants text, or a list of texts, not a map`},
		{`match: {A: {equals: []}}`, `1:45: equals is an empty list`},
		{`match: {A: {equals: ~}}`, `1:45: equals is empty, it wants text, or a list of texts`},
		{`match: {A: {regex: ''}}`, `1:44: regex is empty, which every value matches (for any value at all, write exists: true)`},
		{`match: {A: {regex: '(a'}}`, "1:44: bad regex: missing closing ): `(a` (the syntax is RE2: https://github.com/google/re2/wiki/Syntax)"},
		{`match: {A: {regex: [b, '(?=a)']}}`, "1:48: bad regex: invalid or unsupported Perl syntax: `(?=` (RE2 has no look-ahead and no look-behind: use not: with a regex of its own)"},
		{`match: {A: {regex: '(a)\1'}}`, "1:44: bad regex: invalid escape sequence: `\\1` (RE2 has no back-references; \\ before a letter must mean something)"},
		{`match: {A: {regex: '(?P<a-b>c)'}}`, "1:44: bad regex: invalid named capture: `(?P<a-b>` (a named group is (?P<name>...), of letters, digits and _)"},
		{`match: {A: {at_most: few}}`, `1:46: at_most wants a number, not "few" (such as 3, -10 or 0.5)`},
		{`match: {A: {at_most: 1e3}}`, `1:46: at_most wants a number, not "1e3" (such as 3, -10 or 0.5)`},
		{`match: {A: {at_least: [1]}}`, `1:47: at_least wants text, not a list`},
		{`match: {A: {at_least: 5, at_most: 3}}`, `1:36: no number is at least 5 and at most 3`},
		{`match: {PRIORITY: {at_most: err, at_least: warn}}`, `1:43: no number is at least warn and at most err`},
		{`match: {A: {exists: 1}}`, `1:45: exists wants true or false, not "1"`},
		{`match: {A: {exists: false, prefix: b}}`, `1:36: A cannot be missing and have a value (take the others out, or exists)`},
		{`match: {A: {not: {}}}`, `1:42: not has no operators (at_least, at_most, contains, equals, exists, not, prefix, regex, suffix)`},
		{`match: {A: {not: {prefix: []}}}`, `1:51: prefix is an empty list`},
		{`match: {A: {not: }}`, `1:42: not is empty, it wants a value, a list of values, or a map of operators (write "" for an empty value, {exists: true} for any)`},
		{`match: {PRIORITY: {not: errr}}`, `1:49: PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not "errr" (did you mean "err"?)`},
		{`prefix: a, match: {MESSAGE: {exists: false}}`, `1:33: no MESSAGE has a prefix and does not exist (take one of them out)`},
	}
	for _, tt := range tests {
		_, err := decode("- {name: r, actions: a, " + tt.rule + "}\n")
		if got, want := fmt.Sprint(err), "rules.yaml:"+tt.want; got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.rule, got, want)
		}
	}
}

func TestBadNamesAndActions(t *testing.T) {
	tests := []struct{ rule, want string }{
		{`{prefix: a, actions: b}`, `1:3: key "name" is missing`},
		{`{name: a, prefix: a}`, `1:3: key "actions" is missing`},
		{`{name: a b, prefix: a, actions: b}`, `1:10: "a b" is no name (letters, digits, dots, underscores and dashes, at most 64)`},
		{`{name: "", prefix: a, actions: b}`, `1:10: "" is no name (letters, digits, dots, underscores and dashes, at most 64)`},
		{`{name: [a], prefix: a, actions: b}`, `1:10: name wants a name, not a list`},
		{`{name: a, prefix: a, actions: }`, `1:33: actions is empty, it wants text, or a list of texts`},
		{`{name: a, prefix: a, actions: []}`, `1:33: actions is an empty list (name at least one of the actions)`},
		{`{name: a, prefix: a, actions: [b, {c: d}]}`, `1:37: actions wants text, not a map`},
		{`{name: a, prefix: a, actions: [b, c, b]}`, `1:40: action "b" is there twice`},
		{`a`, `1:3: the file wants a map of keys, not text (known: actions, final, match, name, parse, prefix, text)`},
	}
	for _, tt := range tests {
		_, err := decode("- " + tt.rule + "\n")
		if got, want := fmt.Sprint(err), "rules.yaml:"+tt.want; got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.rule, got, want)
		}
	}
}

func TestCaptures(t *testing.T) {
	list := parse(t, rule(`match: [{A: {regex: ['(?P<x>.)(.)', '(?<y>.)']}, B: {regex: '(?P<x>.)'}}, {C: [d, {regex: '(?P<z>.)'}], D: {not: {regex: '(?P<no>.)'}}}]`))
	if diff := cmp.Diff([]string{"x", "y", "z"}, list[0].Captures()); diff != "" {
		t.Error(diff)
	}
}

func TestTrusted(t *testing.T) {
	tests := []struct {
		rule string
		want bool
	}{
		{`prefix: x`, false},
		{`match: {MESSAGE: x, SYSLOG_IDENTIFIER: y}`, false},
		{`match: {_SYSTEMD_UNIT: shop.service}`, true},
		{`match: {_SYSTEMD_UNIT: [shop.service, "shop@*.service"], MESSAGE: x}`, true},
		{"prefix: x\nmatch: {_UID: 0}", true},
		{`match: {_UID: {at_most: 999}}`, true},
		{`match: {_SYSTEMD_UNIT: {regex: '^shop@[ab]\.service$'}}`, true},
		{`match: {_SYSTEMD_UNIT: user@1000.service}`, true},
		{`match: {_SYSTEMD_CGROUP: {prefix: /system.slice/shop}}`, true},
		{`match: {_SYSTEMD_UNIT: {prefix: shop}}`, true},
		{`match: [{_UID: 0}, {MESSAGE: x}]`, false},
		{`match: [{_UID: 0}, {_UID: 1}]`, true},
		{`match: {_UID: {exists: true}}`, false},
		{`match: {_UID: {not: 0}}`, false},
		{`match: {_UID: {not: {not: 0}}}`, false},
		{`match: {_UID: "*"}`, false},
		{`match: {_UID: [0, "*"]}`, false},
		{`match: {_UID: [0, {not: 1}]}`, false},
		{`match: {_UID: {regex: '.*'}}`, false},
		// What everybody has.
		{`match: {_UID: {at_least: 0}}`, false},
		{`match: {_UID: {at_least: 1000}}`, false},
		{`match: {_UID: {at_least: 1000, at_most: 1009}}`, true},
		{`match: {_UID: {regex: '[0-9]'}}`, false},
		{`match: {_UID: {regex: '.', not: 0}}`, false},
		{`match: {_SYSTEMD_UNIT: {regex: '.+'}}`, false},
		{`match: {_SYSTEMD_UNIT: "*.service"}`, false},
		{`match: {_SYSTEMD_UNIT: {prefix: session-}}`, false},
		{`match: {_SYSTEMD_UNIT: [shop.service, "user@*"]}`, false},
		{`match: {_SYSTEMD_SLICE: {prefix: user}}`, false},
		{`match: {_SYSTEMD_CGROUP: {prefix: /}}`, false},
		{`match: {_SYSTEMD_CGROUP: {suffix: /shop.service}}`, false},
		// Written by journald, but saying nothing of who logged.
		{`match: {_COMM: sshd}`, false},
		{`match: {_CMDLINE: {contains: sshd}}`, false},
		{`match: {_HOSTNAME: web1}`, false},
		{`match: {_SYSTEMD_USER_UNIT: x.service}`, false},
		{`match: {_EXE: /usr/bin/logger}`, false},
		{`match: {_CAP_EFFECTIVE: 1ffffffffff}`, false},
		{`match: {_TRANSPORT: syslog}`, false},
		{`match: {_TRANSPORT: kernel}`, true},
		{`match: {_TRANSPORT: [kernel, journal]}`, false},
		{`match: {_TRANSPORT: "k*"}`, false},
	}
	for _, tt := range tests {
		if got := parse(t, rule(tt.rule))[0].Trusted(); got != tt.want {
			t.Errorf("%s: trusted %v, want %v", tt.rule, got, tt.want)
		}
	}
}
