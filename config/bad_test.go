package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Two endings that make a configuration of what is above them.
const (
	withOut   = "\nactions: {out: {stdout: }}\nrules: [{name: r, prefix: x, actions: out}]\n"
	withRules = "\nrules: [{name: r, prefix: x, actions: a}]\n"
	withSlack = "actions: {a: {slack: {token: xoxb-1, channel: C1}}}\n"
)

// TestBad: one mistake, one line about it.
func TestBad(t *testing.T) {
	const (
		topKeys = "known: actions, dead_letters, http, journal, rules, state"
		names   = "letters, digits, dots, underscores and dashes, at most 64"
		refs    = "${env:NAME}, ${file:PATH} or ${credential:NAME}; a ${ that is meant so is written $${"
	)
	keys := []string{"batch", "concurrency", "parse", "queue", "rate", "retry", "text"}
	for _, k := range kinds {
		keys = append(keys, k.name)
	}
	slices.Sort(keys)
	actionKeys := "known: " + strings.Join(keys, ", ")
	tests := []struct{ yaml, want string }{
		// Recipients that the entry names.
		{"actions: {a: {email: {host: h, from: a@b.c, to: '{{ .Fields.TO }}', allow_domains: [b.c]}}}" + withRules,
			`config.yaml:2:39: any local user can log a line that rule "r" takes, and so choose who gets mail from action "a" (match _SYSTEMD_UNIT, _UID or another field that only journald writes)`},
		{"actions: {a: {email: {host: h, from: a@b.c, to: '{{ .Captures.to }}', allow_domains: [b.c]}}}\nrules: [{name: r, match: {_UID: 0}, actions: a}]",
			`config.yaml:1:49: to has .Captures.to, which rule "r" does not capture (name a group in a regex of the rule: (?P<to>...))`},
		{"actions: {a: {email: {host: h, from: a@b.c, to: '{{ .Fields.TO }}'}}}" + withRules,
			`config.yaml:1:49: to takes addresses from the entry, and so could be anybody's (say whom mail may go to: allow_domains: [example.com], or allow_addresses: [ada@example.com])`},
		// The file.
		{"", `config.yaml: there are no rules, and so nothing to do (see config.example.yaml for some to begin with)`},
		{"# nothing\n", `config.yaml: there are no rules, and so nothing to do (see config.example.yaml for some to begin with)`},
		{"actions: {out: {stdout: }}", `config.yaml: there are no rules, and so nothing to do (see config.example.yaml for some to begin with)`},
		{"hello", `config.yaml:1:1: the file wants a map of keys, not text (` + topKeys + `)`},
		{"- a", `config.yaml:1:1: the file wants a map of keys, not a list (` + topKeys + `)`},
		{"a: [\n", `config.yaml:1:4: not valid YAML: did not find expected node content (check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value)`},
		{"a: b\n---\nc: d\n", `config.yaml:2:1: a second document begins here: a file holds one (put it into a file of its own, or take the line "---" out)`},
		{"action: {}" + withOut, `config.yaml:1:1: unknown key "action" (did you mean "actions"?)`},
		{"metrics: x" + withOut, `config.yaml:1:1: unknown key "metrics" (` + topKeys + `)`},
		{"state: /a\nstate: /b" + withOut, `config.yaml:2:1: key "state" is there twice, first in line 1`},
		// state and journal.
		{"state:" + withOut, `config.yaml:1:7: state is empty, it wants text`},
		{"state: here" + withOut, `config.yaml:1:8: state wants an absolute path, not "here" (begin it with /)`},
		{"state: [/a]" + withOut, `config.yaml:1:8: state wants text, not a list`},
		{"dead_letters: 10" + withOut, `config.yaml:1:15: dead_letters wants a map of keys, not text (known: max, max_age)`},
		{"dead_letters: {max: 0}" + withOut, `config.yaml:1:21: max must be at least 1 (leave it out for no limit)`},
		{"dead_letters: {max: -1, max_age: 0s}" + withOut, `config.yaml:1:21: max must be at least 1 (leave it out for no limit)
config.yaml:1:34: max_age must be more than 0 (leave it out for no limit)`},
		{"dead_letters: {max: 1k, max_age: long}" + withOut, `config.yaml:1:21: max wants a whole number, not "1k"
config.yaml:1:34: max_age wants a duration, not "long" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"journal:" + withOut, `config.yaml:1:9: journal is empty, it wants a map of keys (known: directory, include_own, max_field_bytes, namespace, start)`},
		{"journal: end" + withOut, `config.yaml:1:10: journal wants a map of keys, not text (known: directory, include_own, max_field_bytes, namespace, start)`},
		{"journal: {begin: end}" + withOut, `config.yaml:1:11: unknown key "begin" (known: directory, include_own, max_field_bytes, namespace, start)`},
		{"journal: {start: yesterday}" + withOut, `config.yaml:1:18: start wants a place in the journal, not "yesterday" (end, beginning, boot, a duration back (2h, 90m, 7d), a local time (2026-01-02, 2026-01-02 15:04, 2026-01-02 15:04:05), or an RFC 3339 time (2026-01-02T15:04:05Z))`},
		{"journal: {start: [end]}" + withOut, `config.yaml:1:18: start wants text, not a list`},
		{"journal: {directory: log}" + withOut, `config.yaml:1:22: directory wants an absolute path, not "log" (begin it with /)`},
		{"journal: {namespace: a/b}" + withOut, `config.yaml:1:22: namespace wants the name of one journal namespace, not "a/b" (the name that LogNamespace= of the units has)`},
		{"journal: {namespace: '*'}" + withOut, `config.yaml:1:22: namespace wants the name of one journal namespace, not "*" (the name that LogNamespace= of the units has)`},
		{"journal: {directory: /a, namespace: b}" + withOut, `config.yaml:1:37: namespace and directory exclude each other (a router reads one journal: run a second one for the other)`},
		{"journal: {max_field_bytes: lots}" + withOut, `config.yaml:1:28: max_field_bytes wants a size, not "lots" (such as 1GiB, 512MiB or 10MB)`},
		{"journal: {max_field_bytes: 0}" + withOut, `config.yaml:1:28: max_field_bytes must be from 1KiB to 1GiB`},
		{"journal: {max_field_bytes: 1023}" + withOut, `config.yaml:1:28: max_field_bytes must be from 1KiB to 1GiB`},
		{"journal: {max_field_bytes: 2GiB}" + withOut, `config.yaml:1:28: max_field_bytes must be from 1KiB to 1GiB`},
		{"journal: {include_own: 1}" + withOut, `config.yaml:1:24: include_own wants true or false, not "1"`},
		// http.
		{"http:" + withOut, `config.yaml:1:6: http is empty, it wants text`},
		{"http: {port: 9323}" + withOut, `config.yaml:1:7: http wants text, not a map`},
		{"http: 9323" + withOut, `config.yaml:1:7: http wants an address and a port to listen on, not "9323" (write it like 127.0.0.1:9323, or [::1]:9323)`},
		{"http: ::1:9323" + withOut, `config.yaml:1:7: http wants an address and a port to listen on, not "::1:9323" (write it like 127.0.0.1:9323, or [::1]:9323)`},
		{"http: localhost:http" + withOut, `config.yaml:1:7: http wants an address and a port to listen on, not "localhost:http" (write it like 127.0.0.1:9323, or [::1]:9323)`},
		{"http: localhost:65536" + withOut, `config.yaml:1:7: http wants an address and a port to listen on, not "localhost:65536" (write it like 127.0.0.1:9323, or [::1]:9323)`},
		{"http: http://localhost:9323/" + withOut, `config.yaml:1:7: http wants an address and a port to listen on, not "http://localhost:9323/" (write it like 127.0.0.1:9323, or [::1]:9323)`},
		// Actions.
		{"actions:" + withRules, "config.yaml:1:9: actions is empty, it wants a map of names and actions\n" + `config.yaml:2:39: no action is named "a"`},
		{"actions: [a]\nrules: []\n", "config.yaml:1:10: actions wants a map of names and actions, not a list"},
		{"actions: {a: {stdout: }, a: {stdout: }}" + withRules, `config.yaml:1:26: key "a" is there twice, first in line 1`},
		{"actions: {a b: {stdout: }}\nrules: [{name: r, prefix: x, actions: a b}]", `config.yaml:1:11: "a b" is no name for an action (` + names + `)`},
		{"actions: {a: }" + withRules, `config.yaml:1:14: a is empty, it wants a map of keys (` + actionKeys + `)`},
		{"actions: {a: stdout}" + withRules, `config.yaml:1:14: a wants a map of keys, not text (` + actionKeys + `)`},
		{"actions: {a: {}}" + withRules, `config.yaml:1:14: action "a" does not say of what kind it is (add one of ` + kindNames() + `)`},
		{"actions: {a: {text: x}}" + withRules, `config.yaml:1:14: action "a" does not say of what kind it is (add one of ` + kindNames() + `)`},
		{"actions: {a: {slak: {}}}" + withRules, `config.yaml:1:15: unknown key "slak" (did you mean "slack"?)`},
		{"actions: {a: {bulk: {}, stdout: }}" + withRules, `config.yaml:1:15: unknown key "bulk" (` + actionKeys + `)`},
		// How often, and how many at once.
		{"actions: {a: {batch: 5, stdout: }}" + withRules, `config.yaml:1:22: batch wants a map of keys, not text (known: max, max_bytes, wait)`},
		{"actions: {a: {batch: {max: 0}, stdout: }}" + withRules, `config.yaml:1:28: max must be from 1 to 1000 for a stdout action`},
		{"actions: {a: {batch: {max: 1001}, stdout: }}" + withRules, `config.yaml:1:28: max must be from 1 to 1000 for a stdout action`},
		{"actions: {a: {batch: {max: some}, stdout: }}" + withRules, `config.yaml:1:28: max wants a whole number, not "some"`},
		{"actions: {a: {batch: {wait: 2}, stdout: }}" + withRules, `config.yaml:1:29: wait wants a duration, not "2" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"actions: {a: {batch: {wait: 2h}, stdout: }}" + withRules, `config.yaml:1:29: wait must be 1h at most`},
		{"actions: {a: {batch: {max_bytes: 1GiB}, stdout: }}" + withRules, `config.yaml:1:34: max_bytes must be from 1 to 64MiB`},
		{"actions: {a: {batch: {max: 2}, exec: {command: [/bin/true]}}}" + withRules, `config.yaml:1:22: this exec action carries one delivery a call (leave batch out)`},
		{"actions: {a: {batch: {max: 2}, webhook: {url: 'https://hook.example'}}}" + withRules, `config.yaml:1:22: this webhook action carries one delivery a call (set format: array or format: ndjson in the webhook, or leave batch out)`},
		{"actions: {a: {webhook: {url: 'https://hook.example', format: json}}}" + withRules, `config.yaml:1:62: format is neither array nor ndjson (leave it out for one delivery a request)`},
		{"actions: {a: {rate: 5, stdout: }}" + withRules, `config.yaml:1:21: rate wants a number of calls a second, minute or hour, not "5" (such as 1/s, 30/m or 100/h)`},
		{"actions: {a: {rate: 0/s, stdout: }}" + withRules, `config.yaml:1:21: rate wants a number of calls a second, minute or hour, not "0/s" (such as 1/s, 30/m or 100/h)`},
		{"actions: {a: {rate: [1/s], stdout: }}" + withRules, `config.yaml:1:21: rate wants text, not a list`},
		{"actions: {a: {rate: {burst: 2}, stdout: }}" + withRules, `config.yaml:1:21: rate: key "limit" is missing`},
		{"actions: {a: {rate: {limit: 1/d}, stdout: }}" + withRules, `config.yaml:1:29: limit wants a number of calls a second, minute or hour, not "1/d" (such as 1/s, 30/m or 100/h)`},
		{"actions: {a: {rate: {limit: 1/s, burst: 0}, stdout: }}" + withRules, `config.yaml:1:41: burst must be from 1 to 1000000`},
		{"actions: {a: {concurrency: 2, stdout: }}" + withRules, `config.yaml:1:28: an action of kind stdout makes one call at a time (leave concurrency out)`},
		{"actions: {a: {concurrency: 0, webhook: {url: 'https://hook.example'}}}" + withRules, `config.yaml:1:28: concurrency must be from 1 to 1000`},
		{"actions: {a: {concurrency: many, webhook: {url: 'https://hook.example'}}}" + withRules, `config.yaml:1:28: concurrency wants a whole number, not "many"`},
		{"actions: {a: {stdout: , file: {path: /a}}}" + withRules, `config.yaml:1:25: action "a" is of two kinds, stdout and file (make an action of each, and name both in the rule)`},
		{"actions: {a: {stdout: yes}}" + withRules, `config.yaml:1:23: stdout wants a map of keys, not text`},
		{"actions: {a: {stdout: {color: red}}}" + withRules, `config.yaml:1:24: unknown key "color"`},
		{"actions: {a: {file: }}" + withRules, `config.yaml:1:21: file: key "path" is missing`},
		{"actions: {a: {file: {pth: /a}}}" + withRules, "config.yaml:1:21: file: key \"path\" is missing\n" + `config.yaml:1:22: unknown key "pth" (did you mean "path"?)`},
		{"actions: {a: {webhook: url:http://hook.example/s3cret}}" + withRules, `config.yaml:1:24: webhook wants a map of keys, not text (put a space after the colon)`},
		{"actions: {a: {stdout: }, b: {file: {path: /x/y}}, c: {file: {path: /x/../x//y}}}" + withRules, `config.yaml:1:51: action "c" writes to the same file as action "b" (name that action in the rule instead)`},
		// What the actions themselves refuse.
		{"actions: {a: {slack: }}" + withRules, `config.yaml:1:22: slack needs token and channel, or webhook_url (token: ${credential:slack-token} and channel: "#growth")`},
		{"actions: {a: {slack: {token: xoxb-1}}}" + withRules, `config.yaml:1:22: channel is missing (write a name, in quotes as # begins a comment: channel: "#growth"; or an id: channel: C024BE91L)`},
		{"actions:\n  a:\n    slack:\n      token: xoxb-1\n      channel: #growth\n" + withRules, `config.yaml:5:15: channel is empty, it wants text (what follows # is a comment: put a value that begins with # into quotes)`},
		{"actions: {a: {slack: {token: xapp-s3cret, channel: C1}}}" + withRules, `config.yaml:1:30: token is an app-level token, which cannot post (take the Bot User OAuth Token, which begins with xoxb-)`},
		{"actions: {a: {webhook: {url: ftp://x}}}" + withRules, `config.yaml:1:30: url does not begin with http:// or https:// (write it like https://example.com/hook)`},
		{"actions: {a: {webhook: {url: http://x, headers: {Idempotency-Key: x}}}}" + withRules, `config.yaml:1:67: headers.Idempotency-Key cannot be set (it is the delivery's id, by which the destination can tell a repeat)`},
		{"actions: {a: {webhook: {url: http://x, timeout: soon}}}" + withRules, `config.yaml:1:49: timeout wants a duration, not "soon" (such as 500ms, 2s, 5m, 72h or 7d)`},
		// Of an action with a mistake in it, the others are found as well.
		{"actions: {a: {webhook: {url: ftp://x, timeout: soon}}}" + withRules, "config.yaml:1:30: url does not begin with http:// or https:// (write it like https://example.com/hook)\n" + `config.yaml:1:48: timeout wants a duration, not "soon" (such as 500ms, 2s, 5m, 72h or 7d)`},
		// retry and queue.
		{"actions: {a: {stdout: , retry: {min: 0}}}" + withRules, `config.yaml:1:38: min must be more than 0`},
		{"actions: {a: {stdout: , retry: {min: 1}}}" + withRules, `config.yaml:1:38: min wants a duration, not "1" (such as 500ms, 2s, 5m, 72h or 7d)`},
		{"actions: {a: {stdout: , retry: {min: 2m, max: 1m}}}" + withRules, `config.yaml:1:38: min 2m is more than max 1m (swap them)`},
		{"actions: {a: {stdout: , retry: {give_up_after: 0s}}}" + withRules, `config.yaml:1:48: give_up_after must be more than 0`},
		{"actions: {a: {stdout: , retry: {giveup: 1h}}}" + withRules, `config.yaml:1:33: unknown key "giveup" (known: give_up_after, max, min)`},
		{"actions: {a: {stdout: , retry: 5s}}" + withRules, `config.yaml:1:32: retry wants a map of keys, not text (known: give_up_after, max, min)`},
		{"actions: {a: {stdout: , retry: }}" + withRules, `config.yaml:1:32: retry is empty, it wants a map of keys (known: give_up_after, max, min)`},
		{"actions: {a: {stdout: , queue: {max_bytes: lots}}}" + withRules, `config.yaml:1:44: max_bytes wants a size, not "lots" (such as 1GiB, 512MiB or 10MB)`},
		{"actions: {a: {stdout: , queue: {max_bytes: 10}}}" + withRules, `config.yaml:1:44: max_bytes must be at least 1MiB`},
		{"actions: {a: {stdout: , queue: {max: 1GiB}}}" + withRules, `config.yaml:1:33: unknown key "max" (did you mean "max_bytes"?)`},
		{"actions: {a: {stdout: , queue: {when_full: drop_olddest}}}" + withRules, `config.yaml:1:44: when_full wants what a full queue does, not "drop_olddest" (did you mean "drop_oldest"?)`},
		{"actions: {a: {stdout: , queue: {when_full: wait}}}" + withRules, `config.yaml:1:44: when_full wants what a full queue does, not "wait" (known: block, drop_newest, drop_oldest)`},
		{"actions: {a: {stdout: , queue: {when_full: [block]}}}" + withRules, `config.yaml:1:44: when_full wants text, not a list`},
		{"actions: {a: {stdout: , queue: {when_full: }}}" + withRules, `config.yaml:1:44: when_full is empty, it wants text`},
		// Rules, and what is between them and the actions.
		{"actions: {a: {stdout: }}\nrules:\n", "config.yaml:2:7: rules is empty, it wants a list of rules"},
		{"actions: {a: {stdout: }}\nrules: {name: r}\n", "config.yaml:2:8: rules wants a list of rules, not a map"},
		{"actions: {a: {stdout: }}\nrules: [r]\n", `config.yaml:2:9: rules wants a map of keys, not text (known: actions, final, match, name, parse, prefix, text)`},
		{"actions: {a: {stdout: }}\nrules: [{prefix: x, actions: a}]\n", `config.yaml:2:9: key "name" is missing`},
		{"actions: {a: {stdout: }}\nrules: [{name: r, prefix: x}]\n", `config.yaml:2:9: key "actions" is missing`},
		{"actions: {a: {stdout: }}\nrules: [{name: r, actions: a}]\n", `config.yaml:2:9: the rule says nothing of the entries it is for (add prefix: or match:; to match every entry, write match: {MESSAGE: {exists: true}})`},
		{"actions: {a: {stdout: }}\nrules: [{name: r, match: {MESSAGE: {regex: '('}}, actions: a}]\n", "config.yaml:2:44: bad regex: missing closing ): `(` (the syntax is RE2: https://github.com/google/re2/wiki/Syntax)"},
		{"actions: {a: {stdout: }}\nrules:\n- {name: r, prefix: x, actions: a}\n- {name: s, prefix: x, actions: a}\n- {name: r, prefix: y, actions: a}\n", `config.yaml:5:10: rule "r" is there twice, first in line 3 (every rule has a name of its own)`},
		{"actions: {growth: {stdout: }}\nrules: [{name: r, prefix: x, actions: [growht]}]\n", `config.yaml:2:40: no action is named "growht" (did you mean "growth"?)`},
		{"actions: {growth: {stdout: }, log: {stdout: }}\nrules: [{name: r, prefix: x, actions: [log, mail]}]\n", `config.yaml:2:45: no action is named "mail" (known: growth, log)`},
		// Templates.
		{"actions: {a: {stdout: , text: '{{ .Text'}}" + withRules, `config.yaml:1:31: bad template: unclosed action`},
		{"actions: {a: {stdout: , text: '{{ .Txt }}'}}" + withRules, `config.yaml:1:31: bad template: there is no .Txt, only .Captures, .Cursor, .Fields, .Host, .ID, .JSON, .Logfmt, .Message, .Priority, .Rule, .Text, .Time, .Unit`},
		{"actions: {a: {stdout: , text: '{{ shout .Text }}'}}" + withRules, `config.yaml:1:31: bad template: function "shout" not defined`},
		{"actions: {a: {stdout: , text: ''}}" + withRules, `config.yaml:1:31: text is empty (leave it out for the default)`},
		{"actions: {a: {stdout: , text: {{ .Text }}}}" + withRules, `config.yaml:1:31: text wants text, not a map (put a text with {{ }} into quotes)`},
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, text: '{{ .Txt }}'}\n", `config.yaml:3:42: bad template: there is no .Txt, only .Captures, .Cursor, .Fields, .Host, .ID, .JSON, .Logfmt, .Message, .Priority, .Rule, .Text, .Time, .Unit`},
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, text: '{{ .Captures.order }}'}\n", `config.yaml:3:42: text has .Captures.order, which rule "r" does not capture (name a group in a regex of the rule: (?P<order>...))`},
		{withSlack + "rules:\n- {name: r, match: {MESSAGE: {regex: '(?P<order>.)'}}, actions: a, text: '{{ .Captures.ordr }}'}\n", `config.yaml:3:74: text has .Captures.ordr, which rule "r" does not capture (did you mean "order"?)`},
		{withSlack + "rules:\n- {name: r, match: {MESSAGE: {not: {regex: '(?P<order>.)'}}}, actions: a, text: '{{ .Captures.order }}'}\n", `config.yaml:3:81: text has .Captures.order, which rule "r" does not capture (name a group in a regex of the rule: (?P<order>...))`},
		{"actions: {a: {stdout: , text: '{{ .Captures.x }}'}}\nrules:\n- {name: r, prefix: x, actions: a}\n- {name: s, prefix: x, actions: a, text: x}\n- {name: t, match: {A: {regex: '(?P<x>.)'}}, actions: a}\n", `config.yaml:1:31: text has .Captures.x, which rule "r" does not capture (name a group in a regex of the rule: (?P<x>...); or give the rule a text of its own)`},
		// parse, and what needs it.
		{"actions: {a: {stdout: , parse: xml}}" + withRules, `config.yaml:1:32: parse wants what a message is, not "xml" (json, logfmt, or {regex: '...'} with named groups)`},
		{"actions: {a: {stdout: , parse: [json]}}" + withRules, `config.yaml:1:32: parse wants text, not a list`},
		{"actions: {a: {stdout: , parse: }}" + withRules, `config.yaml:1:32: parse is empty, it wants text`},
		{"actions: {a: {stdout: , parse: {}}}" + withRules, `config.yaml:1:32: parse: key "regex" is missing`},
		{"actions: {a: {stdout: , parse: {json: true}}}" + withRules, `config.yaml:1:32: parse: key "regex" is missing
config.yaml:1:33: unknown key "json" (known: regex)`},
		{"actions: {a: {stdout: , parse: {regex: '('}}}" + withRules, "config.yaml:1:40: bad regex: missing closing ): `(` (the syntax is RE2: https://github.com/google/re2/wiki/Syntax)"},
		{"actions: {a: {stdout: , parse: {regex: '(?<=a)b'}}}" + withRules, "config.yaml:1:40: bad regex: invalid named capture: `(?<=a)b` (a named group is (?P<name>...), of letters, digits and _)"},
		{"actions: {a: {stdout: , parse: {regex: 'a (.*)'}}}" + withRules, `config.yaml:1:40: regex has no named group (name what templates shall have as .Captures.order: (?P<order>...))`},
		{"actions: {a: {stdout: , text: '{{ .JSON.id }}'}}" + withRules, `config.yaml:1:31: text has .JSON, but rule "r" is without parse: json (add it to the rule, or to action "a"; or give the rule a text of its own)`},
		{"actions: {a: {stdout: , text: '{{ range $.Logfmt }}{{ . }}{{ end }}', parse: json}}" + withRules, `config.yaml:1:31: text has .Logfmt, but rule "r" is without parse: logfmt (a message is parsed in one way, and there is another parse; or give the rule a text of its own)`},
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, text: '{{ .JSON.id }}'}\n", `config.yaml:3:42: text has .JSON, but rule "r" is without parse: json (add it to the rule, or to action "a")`},
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, parse: json, text: '{{ .Logfmt.id }}'}\n", `config.yaml:3:55: text has .Logfmt, but rule "r" is without parse: logfmt (a message is parsed in one way, and there is another parse)`},
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, parse: {regex: '(?P<id>.)'}, text: '{{ .Captures.it }}'}\n", `config.yaml:3:71: text has .Captures.it, which rule "r" does not capture (known: id)`},
		// A parse that is wrong is all that is said of it.
		{withSlack + "rules:\n- {name: r, prefix: x, actions: a, parse: jsn, text: '{{ .JSON.id }}{{ .Captures.it }}'}\n", `config.yaml:3:43: parse wants what a message is, not "jsn" (json, logfmt, or {regex: '...'} with named groups)`},
		// Of two actions, one parses; a rule's own parse goes before it.
		{"actions: {a: {stdout: , parse: json}, b: {stdout: }}\nrules:\n- {name: r, prefix: x, actions: [a, b], text: '{{ .JSON.id }}'}\n", `config.yaml:3:47: text has .JSON, but rule "r" is without parse: json (add it to the rule, or to action "b")`},
		{"actions: {a: {stdout: , parse: json, text: '{{ .JSON.id }}'}}\nrules:\n- {name: r, prefix: x, actions: a}\n- {name: s, prefix: x, actions: a, parse: logfmt}\n", `config.yaml:1:44: text has .JSON, but rule "s" is without parse: json (a message is parsed in one way, and there is another parse; or give the rule a text of its own)`},
		// Secrets.
		{"actions: {a: {slack: {token: '${env:NOT_SET_HERE}', channel: C1}}}" + withRules, `config.yaml:1:30: ${env:NOT_SET_HERE}: there is no such environment variable (set it for the service: Environment= or EnvironmentFile= in the unit)`},
		{"actions: {a: {slack: {token: '${env:EMPTY}', channel: C1}}}" + withRules, `config.yaml:1:30: ${env:EMPTY}: it is empty (set it for the service: Environment= or EnvironmentFile= in the unit)`},
		{"actions: {a: {slack: {token: '${file:none}', channel: C1}}}" + withRules, `config.yaml:1:30: ${file:none}: open DIR/none: no such file or directory`},
		{"actions: {a: {slack: {token: '${file:/dev/null}', channel: C1}}}" + withRules, `config.yaml:1:30: ${file:/dev/null}: /dev/null is not a file`},
		{"actions: {a: {slack: {token: '${credential:slack-token}', channel: C1}}}" + withRules, `config.yaml:1:30: ${credential:slack-token}: there is no $CREDENTIALS_DIRECTORY (systemd sets it for the service: systemctl start router; by hand, set it to a directory with the file slack-token)`},
		{"actions: {a: {slack: {token: '${SLACK_TOKEN}', channel: C1}}}" + withRules, `config.yaml:1:30: token has a ${ that begins no reference to a secret (` + refs + `)`},
		{"actions: {a: {slack: {token: '${env:X', channel: C1}}}" + withRules, `config.yaml:1:30: token has a ${ that begins no reference to a secret (` + refs + `)`},
		{"actions: {a: {slack: {token: '${ENV:X}', channel: C1}}}" + withRules, `config.yaml:1:30: token has a ${ that begins no reference to a secret (` + refs + `)`},
	}
	for _, tt := range tests {
		t.Setenv("EMPTY", "")
		_, err := load(t, Options{}, map[string]string{"config.yaml": tt.yaml})
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.yaml, got, tt.want)
		}
	}
}

// TestAllInOneGo: many mistakes over several files, each on its own line, in the
// order of the files and of the lines.
func TestAllInOneGo(t *testing.T) {
	_, err := load(t, Options{}, map[string]string{
		"config.yaml": `
journal: {start: tomorrow, directory: x}
colour: blue
actions:
  growth:
    slack:
      token: ${env:NOT_SET_HERE}
      chanel: "#growth"
    text: "{{ .Txt }}"
    retry: {min: 1}
  hook: {webhook: {url: "ftp://x", timeout: x}}
rules:
  - name: signups
    prefx: "SLACK: "
    actions: [growht]
  - name: orders
    match:
      priority: {at_most: 3}
      MESSAGE: {regex: '(', glob: x}
    text: "{{ .Captures.order }}"
    actions: [hook, log]
`,
		"config.d/a.yaml": `
actions:
  log: {file: {}}
rules:
  - {name: empty, actions: []}
`,
		"config.d/b.yaml": "state: /a\nstate: b\n",
	})
	want := strings.TrimSpace(`
config.yaml:2:18: start wants a place in the journal, not "tomorrow" (end, beginning, boot, a duration back (2h, 90m, 7d), a local time (2026-01-02, 2026-01-02 15:04, 2026-01-02 15:04:05), or an RFC 3339 time (2026-01-02T15:04:05Z))
config.yaml:2:39: directory wants an absolute path, not "x" (begin it with /)
config.yaml:3:1: unknown key "colour" (known: actions, dead_letters, http, journal, rules, state)
config.yaml:7:14: ${env:NOT_SET_HERE}: there is no such environment variable (set it for the service: Environment= or EnvironmentFile= in the unit)
config.yaml:8:7: unknown key "chanel" (did you mean "channel"?)
config.yaml:9:11: bad template: there is no .Txt, only .Captures, .Cursor, .Fields, .Host, .ID, .JSON, .Logfmt, .Message, .Priority, .Rule, .Text, .Time, .Unit
config.yaml:10:18: min wants a duration, not "1" (such as 500ms, 2s, 5m, 72h or 7d)
config.yaml:11:25: url does not begin with http:// or https:// (write it like https://example.com/hook)
config.yaml:11:45: timeout wants a duration, not "x" (such as 500ms, 2s, 5m, 72h or 7d)
config.yaml:13:5: the rule says nothing of the entries it is for (add prefix: or match:; to match every entry, write match: {MESSAGE: {exists: true}})
config.yaml:14:5: unknown key "prefx" (did you mean "prefix"?)
config.yaml:15:15: no action is named "growht" (did you mean "growth"?)
config.yaml:18:7: "priority" is not the name of a journal field (did you mean PRIORITY?)
config.yaml:19:24: bad regex: missing closing ): ` + "`(`" + ` (the syntax is RE2: https://github.com/google/re2/wiki/Syntax)
config.yaml:19:29: unknown operator "glob" (known: at_least, at_most, contains, equals, exists, not, prefix, regex, suffix)
config.yaml:20:11: text has .Captures.order, which rule "orders" does not capture (name a group in a regex of the rule: (?P<order>...))
config.d/a.yaml:3:15: file: key "path" is missing
config.d/a.yaml:5:5: the rule says nothing of the entries it is for (add prefix: or match:; to match every entry, write match: {MESSAGE: {exists: true}})
config.d/a.yaml:5:28: actions is an empty list (name at least one of the actions)
config.d/b.yaml:2:1: key "state" is there twice, first in line 1
`)
	if got := fmt.Sprint(err); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
