package action

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Redact takes secrets out of an error's words and keeps its class: for errors
// that repeat what a destination said, which may be what it was sent.
func Redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	clean := Redactor(secrets...)(said)
	if clean == said {
		return err
	}
	redacted := errors.New(clean)
	if IsPermanent(err) {
		return Permanent(redacted)
	}
	if wait, ok := Wait(err); ok {
		return After(redacted, wait)
	}
	return redacted
}

const (
	// leastSecret is the length below which a secret, or a part of one, is passed
	// over, as it would hit harmless words.
	leastSecret = 4
	secretMark  = "[secret]"
	cutMark     = "…" // of OneLine
)

// Redactor returns what takes secrets out of a text, also what OneLine has left of one
// before its mark, or another cut after it. A secret, or what is left of it, of less than
// 4 bytes is passed over.
func Redactor(secrets ...string) func(string) string {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return len(s) < leastSecret })
	// The longest first: one secret may be a part of another.
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	secrets = slices.Compact(secrets)
	var pairs []string
	for _, s := range secrets {
		pairs = append(pairs, s, secretMark)
	}
	whole := strings.NewReplacer(pairs...).Replace
	return func(text string) string {
		parts := strings.Split(whole(text), cutMark)
		for i := range len(parts) - 1 {
			if n := overlap(secrets, parts[i], strings.HasSuffix, func(s string, n int) string { return s[:n] }); n > 0 {
				parts[i] = parts[i][:len(parts[i])-n] + secretMark
			}
			next := parts[i+1]
			if n := overlap(secrets, next, strings.HasPrefix, func(s string, n int) string { return s[len(s)-n:] }); n > 0 {
				parts[i+1] = secretMark + next[n:]
			}
		}
		return strings.Join(parts, cutMark)
	}
}

// overlap is how many bytes of a secret the text has at the end that has looks at; the
// most of all.
func overlap(secrets []string, text string, has func(text, part string) bool, part func(secret string, n int) string) int {
	most := 0
	for _, s := range secrets {
		for n := min(len(s), len(text)); n > most && n >= leastSecret; n-- {
			if has(text, part(s, n)) {
				most = n
			}
		}
	}
	return most
}
