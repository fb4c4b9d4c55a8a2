// Package config turns the user's files into what the engine runs on. It reads
// the configuration and its drop-ins strictly, finds every mistake in one go
// with its position, fetches the secrets, and builds the rules and the actions.
package config

import (
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/rules"
	"github.com/journald-router/journald-router/spool"
)

// DefaultPath is where the configuration is, unless --config says otherwise.
const DefaultPath = "/etc/journald-router/config.yaml"

// DefaultState is the state directory without `state:` and $STATE_DIRECTORY.
const DefaultState = "/var/lib/journald-router"

// A Config is a valid configuration.
type Config struct {
	// Journal says what to read.
	Journal Journal
	// State is the directory of the spool, an absolute path.
	State string
	// HTTP is the address to show metrics and health on, "host:port", or empty.
	HTTP string
	// DeadLetters bounds how many are kept, and for how long.
	DeadLetters spool.LetterLimit
	// Actions and Rules are in the order of the files.
	Actions []router.Action
	Rules   *rules.Set
	// Files are the paths that were read: the configuration and its drop-ins.
	Files []string
	// Notes are what is legal but should be known.
	Notes []Problem
	// Lacking are the names of actions whose credentials are not known here, which
	// there are only with Options.Check.
	Lacking map[string]bool
}

// Journal is the section `journal:`. It can be compared with ==.
type Journal struct {
	// Start is where the first run begins.
	Start journal.Start
	// Namespace is the journal namespace to read, or empty (LogNamespace= of
	// systemd.exec(5)). Directory is a directory of journal files to read
	// instead of the machine's own, or empty. They exclude each other.
	Namespace, Directory string
	// IncludeOwn says that what the router itself logs is routed as well.
	IncludeOwn bool
	// MaxFieldBytes is how long a field's value may be; longer ones are cut.
	MaxFieldBytes int
}

// A Problem is one mistake or one note, with its position and a hint.
type Problem = strict.Problem

// Errors are all problems of a configuration. Its text has one a line:
// "file:line:column: what is wrong (what to do)".
type Errors = strict.Errors

// Options say what Load is for.
type Options struct {
	// Check is for `check` in an administrator's shell: a ${credential:NAME}
	// without $CREDENTIALS_DIRECTORY is a note, no error. Something else stands for
	// it, and an action that cannot do with that has no Destination: such a Config
	// is not to be run.
	Check bool
}

// Load reads the configuration at path, and the drop-ins config.d/*.yaml beside
// it. Its error is of type Errors and has everything that is wrong with them.
func Load(path string, o Options) (*Config, error) {
	l := &loader{sources: read(path), check: o.Check, secrets: make(map[string]bool)}
	c := &Config{
		Files: l.files, Journal: l.decodeJournal(), State: l.decodeState(), HTTP: l.decodeHTTP(),
		DeadLetters: l.decodeDeadLetters(), Lacking: make(map[string]bool),
	}
	for _, s := range l.actions {
		l.decodeAction(s)
	}
	for _, s := range l.rules {
		l.decoded = append(l.decoded, rules.Decode(s.value))
	}
	l.link()
	if len(l.rules) == 0 && l.Err() == nil { // else it follows from what is wrong
		l.Add(strict.Pos{File: path}, "see config.example.yaml for some to begin with", "there are no rules, and so nothing to do")
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	redact := l.redactor()
	for _, b := range l.built {
		b.Redact = redact
		c.Actions = append(c.Actions, b.Action)
		if b.lacks {
			c.Lacking[b.Name] = true
		}
	}
	c.Rules = rules.New(l.decoded)
	l.noteUnused()
	l.noteUnseen(c.HTTP)
	l.noteUntrusted()
	c.Notes = l.Notes()
	return c, nil
}

// A Summary is what `dead` and `status` need of a configuration.
type Summary struct {
	Journal Journal
	State   string
	// Actions maps the name of each action to its kind.
	Actions map[string]string
	Files   []string
}

// LoadSummary reads the configuration at path and its drop-ins, but no secrets.
// It fails only where that keeps it from knowing the state directory: a mistake
// in a rule must not get between a user and the dead letters.
func LoadSummary(path string) (*Summary, error) {
	l := &loader{sources: read(path)}
	if !l.complete {
		return nil, l.Err()
	}
	s := &Summary{State: l.decodeState(), Files: l.files, Actions: make(map[string]string)}
	if s.State == "" {
		return nil, l.Err()
	}
	s.Journal = l.decodeJournal()
	for _, a := range l.actions {
		s.Actions[a.name] = kindOf(a.value)
	}
	return s, nil
}
