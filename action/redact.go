package action

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// Redact takes secrets out of an error's words and keeps its class: for errors
// that repeat what a destination said, which may be what it was sent. A secret
// of less than 4 bytes is passed over, as it would hit harmless words.
func Redact(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	said := err.Error()
	clean := said
	// The longest first: one secret may be a part of another.
	for _, s := range slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		if len(s) >= 4 {
			clean = strings.ReplaceAll(clean, s, "[secret]")
		}
	}
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
