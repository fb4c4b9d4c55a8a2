package config

import (
	"cmp"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/journald-router/journald-router/rules"
	"github.com/journald-router/journald-router/spool"
)

// loader is one Load.
type loader struct {
	*sources
	check   bool
	secrets map[string]bool // what Redact takes out
	built   []*built
	decoded []*rules.Rule
}

// built is an action that was read, as far as it could be.
type built struct {
	router.Action
	key      strict.Value // its name in the file
	text     strict.Value // its `text:`, if it Exists
	parsing  parsing      // its `parse:`
	section  strict.Value // that of its kind
	settings any          // the Config of its kind, or nil
	lacks    bool         // a credential stands for one that is not known
}

// decodeState returns an absolute path, or an empty string where it is wrong.
func (l *loader) decodeState() string {
	if l.state.Exists() {
		return absolute(l.state)
	}
	// systemd joins several by colons (systemd.exec(5)).
	first, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	return cmp.Or(first, DefaultState)
}

func absolute(v strict.Value) string {
	path, ok := v.Text()
	if ok && !filepath.IsAbs(path) {
		v.Report("begin it with /", "%s wants an absolute path, not %s", v.Name(), strict.Quote(path))
		return ""
	}
	return path
}

// decodeHTTP returns the address to listen on, or an empty string without one.
func (l *loader) decodeHTTP() string {
	if !l.http.Exists() {
		return ""
	}
	address, ok := l.http.Text()
	if !ok {
		return ""
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.http.Report("write it like 127.0.0.1:9323, or [::1]:9323", "http wants an address and a port to listen on, not %s", strict.Quote(address))
		return ""
	}
	return address
}

// decodeDeadLetters returns the limit, which bounds nothing unless it is asked for.
func (l *loader) decodeDeadLetters() spool.LetterLimit {
	if !l.deadLetters.Exists() {
		return spool.LetterLimit{}
	}
	var in struct {
		Max    *int           `yaml:"max"`
		MaxAge *time.Duration `yaml:"max_age"`
	}
	var limit spool.LetterLimit
	if !l.deadLetters.Decode(&in) {
		return limit
	}
	tooLittle := func(name, least string) {
		at, _ := l.deadLetters.Find(name)
		at.Report("leave it out for no limit", "%s must be %s", name, least)
	}
	if in.Max != nil {
		if limit.Max = *in.Max; limit.Max < 1 {
			tooLittle("max", "at least 1")
		}
	}
	if in.MaxAge != nil {
		if limit.MaxAge = *in.MaxAge; limit.MaxAge == 0 {
			tooLittle("max_age", "more than 0")
		}
	}
	return limit
}

// namespace is what a unit's instance name may have in it, as systemd's
// log_namespace_name_valid wants (src/shared/journal-util.c, unit-name.c).
var namespace = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]+$`)

func (l *loader) decodeJournal() Journal {
	if !l.journal.Exists() {
		return Journal{MaxFieldBytes: journal.DefaultMaxFieldBytes}
	}
	var in struct {
		Start      strict.Value `yaml:"start"`
		Namespace  strict.Value `yaml:"namespace"`
		Directory  strict.Value `yaml:"directory"`
		IncludeOwn bool         `yaml:"include_own"`
		MaxField   strict.Bytes `yaml:"max_field_bytes"`
	}
	in.MaxField = journal.DefaultMaxFieldBytes
	ok := l.journal.Decode(&in)
	j := Journal{IncludeOwn: in.IncludeOwn, MaxFieldBytes: int(in.MaxField)}
	if ok && (in.MaxField < 1<<10 || in.MaxField > 1<<30) {
		at, _ := l.journal.Find("max_field_bytes")
		at.Report("", "max_field_bytes must be from 1KiB to 1GiB")
	}
	if in.Start.Exists() {
		j.Start = decodeStart(in.Start)
	}
	if in.Directory.Exists() {
		j.Directory = absolute(in.Directory)
	}
	if in.Namespace.Exists() {
		var ok bool
		if j.Namespace, ok = in.Namespace.Text(); ok && !namespace.MatchString(j.Namespace) {
			in.Namespace.Report("the name that LogNamespace= of the units has", "namespace wants the name of one journal namespace, not %s", strict.Quote(j.Namespace))
		}
		if in.Directory.Exists() {
			in.Namespace.Report("a router reads one journal: run a second one for the other", "namespace and directory exclude each other")
		}
	}
	return j
}

func decodeStart(v strict.Value) journal.Start {
	text, ok := v.Text()
	if !ok {
		return journal.Start{}
	}
	start, err := journal.ParseStart(text)
	if err != nil {
		_, forms, _ := strings.Cut(err.Error(), ": want ")
		v.Report(forms, "start wants a place in the journal, not %s", strict.Quote(text))
	}
	return start
}

// decodeAction reads one action. It ends up in l.built even where it is wrong,
// so that rules that name it are not blamed.
func (l *loader) decodeAction(s section) {
	b := &built{Action: router.Action{Name: s.name}, key: s.key}
	l.built = append(l.built, b)
	if !strict.IsIdentifier(s.name) {
		s.key.Report("letters, digits, dots, underscores and dashes, at most 64", "%s is no name for an action", strict.Quote(s.name))
	}
	var common struct {
		Text  strict.Value `yaml:"text"`
		Parse strict.Value `yaml:"parse"`
		Retry strict.Value `yaml:"retry"`
		Queue strict.Value `yaml:"queue"`

		Batch       strict.Value `yaml:"batch"`
		Rate        strict.Value `yaml:"rate"`
		Concurrency strict.Value `yaml:"concurrency"`
	}
	var chosen []strict.Entry
	others := make(strict.Handlers)
	for _, k := range kinds {
		others[k.name] = func(e strict.Entry) { chosen = append(chosen, e) }
	}
	ok := s.value.DecodeWith(&common, others)
	b.text = common.Text
	b.parsing = decodeParse(common.Parse)
	b.Parse = b.parsing.parser
	b.Retry = l.decodeRetry(common.Retry)
	b.MaxBytes, b.WhenFull = l.decodeQueue(common.Queue)
	switch {
	case len(chosen) == 0 && ok:
		s.value.Report("add one of "+kindNames(), "action %s does not say of what kind it is", strict.Quote(s.name))
	case len(chosen) > 1:
		chosen[1].Key.Report("make an action of each, and name both in the rule", "action %s is of two kinds, %s and %s",
			strict.Quote(s.name), chosen[0].Key.Name(), chosen[1].Key.Name())
	case len(chosen) == 1:
		b.Kind = chosen[0].Key.Name()
		l.build(b, chosen[0].Value.OrEmptyMap())
	}
	b.Batch = b.decodeBatch(common.Batch)
	b.Rate = decodeRate(common.Rate)
	b.Concurrency = b.decodeConcurrency(common.Concurrency)
}

// build makes the destination from the section of its kind.
func (l *loader) build(b *built, v strict.Value) {
	var k kind
	for _, k = range kinds {
		if k.name == b.Kind {
			break
		}
	}
	v = v.WithExpander(l.expand)
	settings, ok, construct := k.decode(v)
	b.section, b.settings, b.lacks = v, settings, l.check && l.lacksCredential(v)
	l.collectSecrets(settings, v)
	destination, err := construct()
	if err == nil {
		b.Destination = destination
		return
	}
	for _, e := range fieldErrors(err) {
		at, found := v.Find(e.Key)
		switch {
		case !ok && (e.Key == "" || !found || l.Has(at.Pos())):
			// It follows from what has been reported.
		case l.check && e.Key != "" && found && l.lacksCredential(at):
			// It is about what stands for the credential.
		default:
			redact := l.redactor()
			at.Report(redact(e.Hint), "%s %s", cmp.Or(e.Key, v.Name()), redact(e.Problem))
		}
	}
}

// fieldErrors takes an error of New apart. One that is no FieldError is about
// the section as a whole.
func fieldErrors(err error) []*action.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*action.FieldError
		for _, one := range joined.Unwrap() {
			all = append(all, fieldErrors(one)...)
		}
		return all
	}
	if e, ok := errors.AsType[*action.FieldError](err); ok {
		return []*action.FieldError{e}
	}
	return []*action.FieldError{{Problem: err.Error()}}
}

func (l *loader) decodeRetry(v strict.Value) router.Retry {
	r := router.Retry{Min: router.DefaultRetryMin, Max: router.DefaultRetryMax, GiveUpAfter: router.DefaultGiveUpAfter}
	if !v.Exists() {
		return r
	}
	var in struct {
		Min         *time.Duration `yaml:"min"`
		Max         *time.Duration `yaml:"max"`
		GiveUpAfter *time.Duration `yaml:"give_up_after"`
	}
	if !v.Decode(&in) {
		return r
	}
	for _, d := range []struct {
		name string
		set  *time.Duration
		to   *time.Duration
	}{{"min", in.Min, &r.Min}, {"max", in.Max, &r.Max}, {"give_up_after", in.GiveUpAfter, &r.GiveUpAfter}} {
		if d.set == nil {
			continue
		}
		if *d.to = *d.set; *d.set == 0 {
			at, _ := v.Find(d.name)
			at.Report("", "%s must be more than 0", d.name)
		}
	}
	// Of the two, a default gives way to what the user wrote.
	switch {
	case in.Min == nil:
		r.Min = min(r.Min, r.Max)
	case in.Max == nil:
		r.Max = max(r.Min, r.Max)
	case r.Min > r.Max:
		low, _ := v.Find("min")
		high, _ := v.Find("max")
		low.Report("swap them", "min %s is more than max %s", low.Raw(), high.Raw())
	}
	return r
}

func (l *loader) decodeQueue(v strict.Value) (maxBytes int64, when spool.WhenFull) {
	if !v.Exists() {
		return router.DefaultQueueBytes, router.DefaultWhenFull
	}
	const least = 1 << 20
	var in struct {
		MaxBytes strict.Bytes `yaml:"max_bytes"`
		WhenFull strict.Value `yaml:"when_full"`
	}
	in.MaxBytes = router.DefaultQueueBytes
	if v.Decode(&in) && in.MaxBytes < least {
		at, _ := v.Find("max_bytes")
		at.Report("", "max_bytes must be at least 1MiB")
	}
	return int64(in.MaxBytes), decodeWhenFull(in.WhenFull)
}

func decodeWhenFull(v strict.Value) spool.WhenFull {
	if !v.Exists() {
		return router.DefaultWhenFull
	}
	known := []string{string(spool.Block), string(spool.DropOldest), string(spool.DropNewest)}
	text, ok := v.Text()
	if ok && !slices.Contains(known, text) {
		v.Report(strict.DidYouMean(text, known), "when_full wants what a full queue does, not %s", strict.Quote(text))
	}
	return spool.WhenFull(text)
}
