package nats

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/journald-router/journald-router/action"
)

// What a template of the subject inserts stays within its token, whatever an entry
// holds: it can neither lead to another part of the subjects nor be refused.
// https://docs.nats.io/nats-concepts/subjects has what a token is.
const (
	// stand is for a character that a token cannot have, and for a value that is empty.
	stand = '_'
	// mostOfValue is how many bytes of a value are inserted, and mostOfSubject how
	// many a subject may have: a server ends the connection of a client whose line is
	// longer than max_control_line, 4 KiB by default, subject, answer's subject and
	// sizes together.
	mostOfValue   = 128
	mostOfSubject = 2048
)

// token makes a value fit into a token, or for a token.
func token(value string) string {
	value = strings.Map(func(r rune) rune {
		switch {
		case r == '.', r == '*', r == '>', r == unicode.ReplacementChar, unicode.IsSpace(r), !unicode.IsPrint(r):
			return stand
		}
		return r
	}, strings.ToValidUTF8(value, string(stand)))
	if len(value) > mostOfValue {
		value = strings.ToValidUTF8(value[:mostOfValue], "")
	}
	switch {
	case value == "":
		return string(stand)
	case value[0] == '$': // which begins the server's own subjects, as $JS.API.STREAM.PURGE
		return string(stand) + value[1:]
	}
	return value
}

// checkSubject tells whether a message can be published to it.
func checkSubject(subject string) error {
	switch {
	case subject == "":
		return errors.New("is empty")
	case len(subject) > mostOfSubject:
		return fmt.Errorf("has more than %d bytes", mostOfSubject)
	case strings.ContainsFunc(subject, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("has a space or a control character in it")
	}
	for token := range strings.SplitSeq(subject, ".") {
		switch token {
		case "":
			return errors.New("has a dot without anything before or behind it")
		case "*", ">":
			return errors.New("has a wildcard in it")
		}
	}
	return nil
}

// parseSubject parses the template, and tries it on an empty entry: text around its
// insertions that is wrong is so for every entry.
func parseSubject(text string) (*action.Template, error) {
	e := &action.FieldError{Key: "subject"}
	if text == "" {
		e.Problem, e.Hint = "is missing", "write where to publish to: subject: logs.{{ .Unit }}"
		return nil, e
	}
	t, err := action.ParseTemplate(text, token)
	if err != nil {
		e.Problem, e.Hint = "has a bad "+err.Error(), "write it like logs.shop, or logs.{{ .Unit }}"
		return nil, e
	}
	// Of a function's error ParseTemplate knows that it need not be one for others.
	if subject, err := t.Render(action.Data{}); err == nil {
		if err := checkSubject(subject); err != nil {
			e.Problem, e.Hint = err.Error(), "tokens are joined by single dots, as in logs.{{ .Unit }}; what a template inserts is made to fit, the rest has to"
			return nil, e
		}
	}
	return t, nil
}

// pattern is what all subjects of the template match: what is fixed at its beginning,
// and any tokens behind that.
func pattern(template string) string {
	fixed, _, templated := strings.Cut(template, "{{")
	if !templated {
		return template
	}
	return fixed[:strings.LastIndexByte(fixed, '.')+1] + ">"
}
