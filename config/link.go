package config

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/file"
	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/rules"
)

// link connects the rules with their actions, and checks what concerns both.
func (l *loader) link() {
	for _, b := range l.built {
		b.RuleText, b.RuleParse = make(map[string]*action.Template), make(map[string]*action.Parser)
		b.Text = l.parseText(b)
	}
	for _, r := range l.decoded {
		l.linkRule(r)
	}
	l.refuseSharedFiles()
	l.refuseSharedMetrics()
}

func (l *loader) find(name string) *built {
	i := slices.IndexFunc(l.built, func(b *built) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return l.built[i]
}

// escape is what b does to what a template inserts, or nil.
func (b *built) escape() func(string) string {
	if e, ok := b.Destination.(action.Escaper); ok {
		return e.Escape
	}
	return nil
}

func (l *loader) parseText(b *built) *action.Template {
	if !b.text.Exists() {
		return nil
	}
	text, ok := b.text.Text()
	if !ok {
		return nil
	}
	if text == "" {
		b.text.Report("leave it out for the default", "text is empty")
		return nil
	}
	t, err := action.ParseTemplate(text, b.escape())
	if err != nil {
		b.text.Report("", "bad %v", err)
		return nil
	}
	return t
}

func (l *loader) linkRule(r *rules.Rule) {
	own := decodeParse(r.Parse)
	var text *action.Template // as it is without an action
	if r.HasText {
		text = l.parseRuleText(r, nil)
	}
	linked := false
	for i, name := range r.Actions {
		b := l.find(name)
		if b == nil && !l.complete {
			continue // it may be in the file that could not be read
		}
		if b == nil {
			l.Add(r.ActionPos[i], strict.DidYouMean(name, l.actionNames()), "no action is named %s", strict.Quote(name))
			continue
		}
		linked = true
		u := use{name: "text", rule: r, b: b, parsing: b.parsing}
		if r.Parse.Exists() {
			u.parsing = own
			b.RuleParse[r.Name] = own.parser
		}
		if r.HasText {
			b.RuleText[r.Name] = l.parseRuleText(r, b.escape())
			u.template, u.at = b.RuleText[r.Name], r.TextPos
		} else if b.Text != nil {
			u.template, u.at = b.Text, b.text.Pos()
		}
		l.checkUse(u)
		l.checkTemplates(b, u)
		if risk, must := b.unpinned(r); must {
			l.Add(r.ActionPos[i], hintPin, unpinned, strict.Quote(r.Name), risk, strict.Quote(name))
		}
	}
	if !linked {
		l.checkUse(use{template: text, name: "text", at: r.TextPos, rule: r, parsing: own})
	}
}

func (l *loader) parseRuleText(r *rules.Rule, escape func(string) string) *action.Template {
	t, err := action.ParseTemplate(r.Text, escape)
	if err != nil {
		l.Add(r.TextPos, "", "bad %v", err)
		return nil
	}
	return t
}

// checkTemplates checks those in the action's own settings, for the same entries.
func (l *loader) checkTemplates(b *built, u use) {
	templater, ok := b.Destination.(action.Templater)
	if !ok {
		return
	}
	templates := templater.Templates()
	for _, u.name = range slices.Sorted(maps.Keys(templates)) {
		at, _ := b.section.Find(u.name)
		u.template, u.at = templates[u.name], at.Pos()
		l.checkUse(u)
	}
}

func (l *loader) actionNames() []string {
	var names []string
	for _, b := range l.built {
		names = append(names, b.Name)
	}
	return names
}

// refuseSharedFiles: each file action cuts off a torn last line, which may be
// one that another has just begun.
func (l *loader) refuseSharedFiles() {
	owners := make(map[string]string)
	for _, b := range l.built {
		c, ok := b.settings.(file.Config)
		if !ok || c.Path == "" {
			continue
		}
		path := filepath.Clean(c.Path)
		if owner := owners[path]; owner != "" {
			b.key.Report("name that action in the rule instead", "action %s writes to the same file as action %s", strict.Quote(b.Name), strict.Quote(owner))
			continue
		}
		owners[path] = b.Name
	}
}

// refuseSharedMetrics: /metrics has each name once, whatever action it is of.
func (l *loader) refuseSharedMetrics() {
	type owner struct{ action, metric string }
	owners := make(map[string]owner)
	for _, b := range l.built {
		c, _ := b.settings.(metrics.Config)
		for _, name := range slices.Sorted(maps.Keys(c)) {
			for _, taken := range c.Taken(name) {
				first, there := owners[taken]
				if !there {
					owners[taken] = owner{b.Name, name}
				} else if first.action != b.Name { // else New has said so
					at, _ := b.section.Find(name)
					at.Report("give it another name, or name that action in the rule instead", "%s is on /metrics as metric %s of action %s already",
						strict.Quote(name), strict.Quote(first.metric), strict.Quote(first.action))
					break
				}
			}
		}
	}
}

// noteUnseen: without `http:` there is no /metrics.
func (l *loader) noteUnseen(http string) {
	for _, b := range l.built {
		if b.Kind == "metrics" && http == "" {
			l.Note(b.section.Pos(), "add http: 127.0.0.1:9323, and have Prometheus ask there", "nobody sees the metrics of action %s, as there is no http", strict.Quote(b.Name))
		}
	}
}

func (l *loader) noteUnused() {
	for _, b := range l.built {
		if !slices.ContainsFunc(l.decoded, func(r *rules.Rule) bool { return slices.Contains(r.Actions, b.Name) }) {
			l.Note(b.key.Pos(), "", "no rule uses action %s", strict.Quote(b.Name))
		}
	}
}

// noteUntrusted warns of what others can set off.
func (l *loader) noteUntrusted() {
	for _, r := range l.decoded {
		for i, name := range r.Actions {
			if risk, must := l.find(name).unpinned(r); risk != "" && !must {
				l.Note(r.ActionPos[i], hintPin, unpinned, strict.Quote(r.Name), risk, strict.Quote(name))
			}
		}
	}
}

const (
	unpinned = "any local user can log a line that rule %s takes, and so %s action %s"
	hintPin  = "match _SYSTEMD_UNIT, _UID or another field that only journald writes"
)

// unpinned returns what anybody could do by the rule, and whether that is an error.
func (b *built) unpinned(r *rules.Rule) (risk string, must bool) {
	if p, ok := b.Destination.(action.Pinned); ok && !r.Trusted() {
		return p.Pin()
	}
	return "", false
}
