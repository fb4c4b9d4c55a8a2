package action

import "html/template"

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
	tmpl := &Template{text: t, captures: checked.captures, fixed: checked.fixed}
	// The first rendering also finds HTML that html/template cannot escape within.
	if err := tmpl.try(); err != nil {
		return nil, err
	}
	return tmpl, nil
}
