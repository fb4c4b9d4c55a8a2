package s3

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/journald-router/journald-router/action"
)

// keys makes the names of objects.
type keys struct {
	template *action.Template
	prefix   string // what each of them begins with
}

// noID stands for the id where entries are sorted into objects.
const noID = "00000000000000000000000000000000"

// longest is how many bytes a key may have:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const longest = 1024

func (c Config) checkKey(suffix string, compress compression, refuse func(key, problem, hint string)) keys {
	text := c.Key
	if text == "" {
		text = `{{ .Time.UTC.Format "2006/01/02" }}/{{ .ID }}` + suffix
	}
	const hint = `as {{ .Time.UTC.Format "2006/01/02" }}/{{ .Unit }}/{{ .ID }}.ndjson.zst`
	t, err := action.ParseTemplate(text, escape)
	if err != nil {
		refuse("key", "bad "+err.Error(), hint)
		return keys{}
	}
	prefix, _, _ := strings.Cut(text, "{{")
	k := keys{t, prefix}
	// What a function makes of an empty entry is no proof of anything.
	if rendered, err := t.Render(action.Data{ID: noID}); err == nil {
		if problem := unusable(fill(rendered), noID); problem != "" {
			refuse("key", problem, "write it "+hint)
			return k
		}
	}
	switch {
	case strings.HasPrefix(text, "/") || strings.Contains(text, "//"):
		refuse("key", "has an empty part before a slash", "write it "+hint)
	case strings.HasSuffix(text, "/"):
		refuse("key", "ends with a slash", "that would be a folder: end it with a name")
	case strings.HasSuffix(text, ".zst") && compress != zstandard, strings.HasSuffix(text, ".gz") && compress != gzipped:
		refuse("key", "ends as if the content were compressed otherwise", fmt.Sprintf("compress is %s: its ending is %q", compress, compress.suffix()))
	}
	return k
}

// group is what the entries of one object have in common: the key, less the id.
func (k keys) group(m *action.Message) (string, error) { return k.render(m, noID) }

// of is the name of the object that begins with the message. An error is permanent.
func (k keys) of(m *action.Message) (string, error) {
	key, err := k.render(m, m.ID)
	if err != nil {
		return "", err
	}
	problem := unusable(key, m.ID)
	if problem != "" {
		return "", action.Permanent(fmt.Errorf("the key %q %s", action.OneLine(key, 200), problem))
	}
	return key, nil
}

// unusable says what is wrong with a key, if anything is.
func unusable(key, id string) string {
	switch {
	case len(key) > longest:
		return fmt.Sprintf("has %d bytes, and may have %d", len(key), longest)
	case !utf8.ValidString(key):
		return "is not UTF-8"
	case strings.ContainsFunc(key, unicode.IsControl):
		return "has a control character"
	case !strings.Contains(key, id):
		return "has no {{ .ID }}: objects would overwrite each other"
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "." || part == ".." {
			return "has a part that is " + part
		}
	}
	return ""
}

func (k keys) render(m *action.Message, id string) (string, error) {
	d := m.Data
	d.ID, d.Rule = id, m.Rule
	key, err := k.template.Render(d)
	if err != nil {
		return "", action.Permanent(fmt.Errorf("key: %w", err))
	}
	return fill(key), nil
}

// fill puts a dash where a part of the key is empty, as with {{ .Unit }} for a
// message of the kernel's: a leading slash, or two together, mean different things
// to different tools.
func fill(key string) string {
	if key != "" && key[0] != '/' && key[len(key)-1] != '/' && !strings.Contains(key, "//") {
		return key
	}
	parts := strings.Split(key, "/")
	for i := range parts {
		if parts[i] == "" {
			parts[i] = "-"
		}
	}
	return strings.Join(parts, "/")
}

// escape makes a value from an entry a part of a key that stays within its place:
// everything but letters, digits and what AWS calls safe, and @ : = + , as in units'
// names, becomes %2F. (Hive and Spark escape the values in their keys in this way, too.)
func escape(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf && strings.ContainsRune("!-_.*'()@:=+,", r),
			r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		default:
			_, n := utf8.DecodeRuneInString(s[i:])
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String()
}
