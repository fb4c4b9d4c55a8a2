package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
)

const (
	credentialsDirectory = "CREDENTIALS_DIRECTORY" // systemd.exec(5)
	hintReference        = "${env:NAME}, ${file:PATH} or ${credential:NAME}; a ${ that is meant so is written $${"
)

// standIn stands for a credential that is not known, so that the rest can be checked.
const standIn = "credential"

var reference = regexp.MustCompile(`^\$\{(env|file|credential):([^{}]+)\}`)

// expand puts secrets in the place of the references in a value. It is false
// where one is not there.
func (l *loader) expand(v strict.Value, text string) (string, bool) {
	var b strings.Builder
	for known := true; ; {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), known
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		m := reference.FindStringSubmatch(text[i:])
		if m == nil {
			v.Report(hintReference, "%s has a ${ that begins no reference to a secret", v.Name())
			return "", false
		}
		secret, ok := l.secret(v, m[1], m[2])
		known = known && ok
		b.WriteString(text[:i] + secret)
		text = text[i+len(m[0]):]
	}
}

// secret looks up what a reference is about. An empty one is a mistake too: it
// is mostly a variable that was not set or a file not yet written.
func (l *loader) secret(v strict.Value, scheme, name string) (string, bool) {
	what := fmt.Sprintf("${%s:%s}", scheme, name)
	var secret, hint string
	var err error
	switch scheme {
	case "env":
		hint = "set it for the service: Environment= or EnvironmentFile= in the unit"
		var ok bool
		if secret, ok = os.LookupEnv(name); !ok {
			err = errors.New("there is no such environment variable")
		}
	case "file":
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(v.Pos().File), name)
		}
		secret, err = readSecret(name)
		if errors.Is(err, fs.ErrPermission) {
			hint = "the router runs as a user of its own: use LoadCredential= and ${credential:NAME}"
		}
	case "credential":
		dir := os.Getenv(credentialsDirectory)
		hint = "LoadCredential=" + name + ":PATH in the unit; see systemctl edit router"
		switch {
		case strings.ContainsRune(name, '/'):
			err = errors.New("a credential has a name, not a path")
		case dir != "":
			secret, err = readSecret(filepath.Join(dir, name))
		case l.check:
			l.Note(v.Pos(), "systemd passes credentials to the service only", "%s was not checked, as there is no $%s here", what, credentialsDirectory)
			return standIn, true
		default:
			err = errors.New("there is no $" + credentialsDirectory)
			hint = "systemd sets it for the service: systemctl start router; by hand, set it to a directory with the file " + name
		}
	}
	if err == nil && secret == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		v.Report(hint, "%s: %v", what, err)
		return "", false
	}
	l.secrets[secret] = true
	return secret, true
}

// readSecret reads a file less the newline that editors and echo end it with.
func readSecret(path string) (string, error) {
	const most = 1 << 20 // what systemd allows all credentials of a unit together
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path) // reading it might never end
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", err
	}
	if len(data) > most {
		return "", fmt.Errorf("%s is larger than 1MiB", path)
	}
	s := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(s, "\r"), nil
}

// lacksCredential tells whether a part of the value is not known in a check.
func (l *loader) lacksCredential(v strict.Value) bool {
	if os.Getenv(credentialsDirectory) != "" {
		return false
	}
	switch {
	case v.IsMap():
		return slices.ContainsFunc(v.Entries(""), func(e strict.Entry) bool { return l.lacksCredential(e.Value) })
	case v.IsList():
		return slices.ContainsFunc(v.Items(""), l.lacksCredential)
	}
	return strings.Contains(v.Raw(), "${credential:")
}

// tellingNames are those of settings that nobody writes a harmless word into, as
// they may into a header or a variable.
var tellingNames = regexp.MustCompile(`(?i)token|key|secret|passw|auth|creds|cookie|webhook_url`)

// collectSecrets keeps what the settings have that is secret by its type, wherever it
// came from, and the passwords in URLs that are not secret as a whole.
func (l *loader) collectSecrets(settings any, v strict.Value) {
	walkTexts(reflect.ValueOf(settings), "", func(key string, text reflect.Value) {
		if u, err := url.Parse(text.String()); err == nil && u.Host != "" {
			for _, part := range login(u, text.String()) {
				l.secrets[part] = true
			}
		}
		s, ok := reflect.TypeAssert[action.Secret](text)
		if !ok || s == "" || s == standIn {
			return
		}
		l.secrets[s.Reveal()] = true
		if at, ok := v.Find(key); ok && at.IsText() && at.Raw() == s.Reveal() && l.public[at.Pos().File] && tellingNames.MatchString(key) {
			l.Note(at.Pos(), "keep it elsewhere, and write ${credential:NAME}", "%s is a secret in a file that every user can read", key)
		}
	})
}

// walkTexts visits every text in a Config, secret or not, with its dotted key.
func walkTexts(v reflect.Value, key string, visit func(key string, text reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		visit(key, v)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
				walkTexts(v.Field(i), strings.TrimPrefix(key+"."+name, "."), visit)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			walkTexts(it.Value(), strings.TrimPrefix(key+"."+it.Key().String(), "."), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkTexts(v.Index(i), key, visit)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walkTexts(v.Elem(), key, visit)
		}
	}
}
