package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/journald-router/journald-router/internal/strict"
)

// dropIns is the directory of the drop-ins, beside the configuration.
const dropIns = "config.d"

// sources are the files of a configuration put together: of each section, action
// and rule the last one.
type sources struct {
	strict.Collector
	files    []string
	public   map[string]bool // the files that every user can read
	complete bool            // all files could be read, and are YAML

	journal, state, http, deadLetters strict.Value
	actions, rules                    []section
}

// A section is one action or one rule, not looked into yet.
type section struct {
	name       string
	key, value strict.Value // a rule has no key
}

// read reads the file and its drop-ins.
func read(path string) *sources {
	s := &sources{public: make(map[string]bool), complete: true}
	s.readFile(path)
	dir := filepath.Join(filepath.Dir(path), dropIns)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.unreadable(dir, err)
	}
	for _, e := range entries { // in lexical order
		name := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."), e.IsDir():
		case filepath.Ext(name) == ".yaml":
			s.readFile(name)
		case filepath.Ext(name) == ".yml":
			s.Note(strict.Pos{File: name}, "give it a name that ends in .yaml", "this drop-in is not read")
		}
	}
	return s
}

func (s *sources) unreadable(path string, err error) {
	s.complete = false
	what, hint := err, ""
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		what = e.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "name the configuration with --config FILE; config.example.yaml is one to begin with"
	case errors.Is(err, fs.ErrPermission):
		hint = "run this as root, or as the router's own user"
	case errors.Is(err, syscall.EISDIR):
		hint = "name the file in it: " + filepath.Join(path, "config.yaml")
	}
	s.Add(strict.Pos{File: path}, hint, "read configuration: %v", what)
}

// readFile reads one file, and puts what it has in the place of what the files
// before had of the same name.
func (s *sources) readFile(path string) {
	data, err := os.ReadFile(path)
	if err != nil {
		s.unreadable(path, err)
		return
	}
	s.files = append(s.files, path)
	if info, err := os.Stat(path); err == nil && info.Mode()&0o004 != 0 {
		s.public[path] = true
	}
	root, ok := s.Parse(path, data)
	if !ok {
		s.complete = false
		return
	}
	if root.IsNull() {
		return // nothing but comments
	}
	var in struct {
		Journal     strict.Value `yaml:"journal"`
		State       strict.Value `yaml:"state"`
		HTTP        strict.Value `yaml:"http"`
		DeadLetters strict.Value `yaml:"dead_letters"`
		Actions     strict.Value `yaml:"actions"`
		Rules       strict.Value `yaml:"rules"`
	}
	root.Decode(&in)
	if in.Journal.Exists() {
		s.journal = in.Journal
	}
	if in.State.Exists() {
		s.state = in.State
	}
	if in.HTTP.Exists() {
		s.http = in.HTTP
	}
	if in.DeadLetters.Exists() {
		s.deadLetters = in.DeadLetters
	}
	if in.Actions.Exists() {
		for _, e := range in.Actions.Entries("a map of names and actions") {
			replace(&s.actions, section{e.Key.Name(), e.Key, e.Value})
		}
	}
	if in.Rules.Exists() {
		s.addRules(in.Rules)
	}
}

func (s *sources) addRules(list strict.Value) {
	lines := make(map[string]int)
	for _, item := range list.Items("a list of rules") {
		name, ok := item.Find("name")
		if !ok || !name.IsText() {
			s.rules = append(s.rules, section{value: item}) // an error, later
			continue
		}
		if first := lines[name.Raw()]; first > 0 {
			name.Report("every rule has a name of its own", "rule %s is there twice, first in line %d", strict.Quote(name.Raw()), first)
			continue
		}
		lines[name.Raw()] = name.Pos().Line
		replace(&s.rules, section{name: name.Raw(), value: item})
	}
}

// replace puts s in the place of the one of its name, or at the end.
func replace(all *[]section, s section) {
	i := slices.IndexFunc(*all, func(one section) bool { return one.name == s.name && one.name != "" })
	if i < 0 {
		*all = append(*all, s)
		return
	}
	(*all)[i] = s
}
