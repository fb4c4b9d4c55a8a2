package action

import (
	"html/template"
	"text/template/parse"
)

// ParseHTMLTemplate is ParseTemplate for HTML: what the template inserts is escaped
// by html/template for the place where it stands, be that text, an attribute, a URL
// or a script.
func ParseHTMLTemplate(text string) (*Template, error) {
	checked, err := ParseTemplate(text, nil)
	if err != nil {
		return nil, err
	}
	t, err := template.New("text").Funcs(functions).Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, errorWithoutName(err)
	}
	for _, one := range t.Templates() {
		walk(one.Tree.Root, one == t, func(n parse.Node, dotIsData bool) { loosen(n, dotIsData, one == t) })
	}
	tmpl := &Template{text: t, captures: checked.captures, names: checked.names, fixed: checked.fixed}
	// The first rendering also finds HTML that html/template cannot escape within.
	if err := tmpl.try(); err != nil {
		return nil, err
	}
	return tmpl, nil
}
