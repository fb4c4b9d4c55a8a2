package strict

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A Decoder is a type that reads itself from the file. What is wrong it reports
// to v.
type Decoder interface {
	DecodeYAML(v Value)
}

// Handlers take the keys of a map that are not fields of the struct it is
// decoded into.
type Handlers map[string]func(Entry)

// Decode stores the value in what into points to. What is not in the file stays
// as it was. Struct fields are named by their tag, `yaml:"name"`, and
// `yaml:"name,required"` must be there; a field of type Value is left for later.
// A single text is also taken where a list of texts is wanted. Unknown keys,
// missing ones and wrong types are reported; the result is false if there were
// any.
func (v Value) Decode(into any) bool {
	before := len(v.doc.collector.problems)
	v.decode(reflect.ValueOf(into).Elem())
	return len(v.doc.collector.problems) == before
}

// DecodeWith is Decode into a struct, where the map may have other keys as well:
// each of those is given to its handler.
func (v Value) DecodeWith(into any, others Handlers) bool {
	before := len(v.doc.collector.problems)
	v.decodeStruct(reflect.ValueOf(into).Elem(), others)
	return len(v.doc.collector.problems) == before
}

var (
	valueType    = reflect.TypeFor[Value]()
	durationType = reflect.TypeFor[time.Duration]()
	bytesType    = reflect.TypeFor[Bytes]()
)

const (
	wantsDuration = "a duration"
	hintDuration  = "such as 500ms, 2s, 5m, 72h or 7d"
	wantsBytes    = "a size"
	hintBytes     = "such as 1GiB, 512MiB or 10MB"
	wantsMap      = "a map of keys"
	wantsList     = "a list"
)

func (v Value) decode(to reflect.Value) {
	if d, ok := to.Addr().Interface().(Decoder); ok {
		d.DecodeYAML(v)
		return
	}
	switch to.Type() {
	case valueType:
		to.Set(reflect.ValueOf(v))
		return
	case durationType:
		scalar(v, to.SetInt, wantsDuration, hintDuration, func(s string) (int64, bool) {
			d, ok := ParseDuration(s)
			return int64(d), ok
		})
		return
	case bytesType:
		scalar(v, to.SetInt, wantsBytes, hintBytes, parseBytes)
		return
	}
	switch to.Kind() {
	case reflect.Pointer:
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		v.decode(to.Elem())
	case reflect.Struct:
		v.decodeStruct(to, nil)
	case reflect.Map:
		v.decodeMap(to)
	case reflect.Slice:
		v.decodeSlice(to)
	case reflect.String:
		if s, ok := v.Text(); ok {
			to.SetString(s)
		}
	case reflect.Bool:
		scalar(v, to.SetBool, "true or false", "", func(s string) (bool, bool) { return s == "true", s == "true" || s == "false" })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		scalar(v, to.SetInt, "a whole number", "", func(s string) (int64, bool) {
			n, err := strconv.ParseInt(s, 10, to.Type().Bits())
			return n, err == nil
		})
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		wants := fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-to.Type().Bits()))
		scalar(v, to.SetUint, wants, "", func(s string) (uint64, bool) {
			n, err := strconv.ParseUint(s, 10, to.Type().Bits())
			return n, err == nil
		})
	case reflect.Float32, reflect.Float64:
		scalar(v, to.SetFloat, "a number", "", func(s string) (float64, bool) {
			f, err := strconv.ParseFloat(s, to.Type().Bits())
			return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
		})
	default:
		panic("strict: cannot decode into a " + to.Type().String())
	}
}

// scalar decodes one that is written in one word.
func scalar[T any](v Value, set func(T), wants, hint string, parse func(string) (T, bool)) {
	if !v.IsText() {
		v.wants(wants, false, hint)
		return
	}
	s, known := v.text(wants)
	if !known {
		return
	}
	parsed, ok := parse(s)
	if !ok {
		v.wants(wants, true, hint)
		return
	}
	set(parsed)
}

func (v Value) decodeMap(to reflect.Value) {
	entries := v.Entries(wantsMap)
	if entries == nil {
		return
	}
	m := reflect.MakeMapWithSize(to.Type(), len(entries))
	for _, e := range entries {
		elem := reflect.New(to.Type().Elem()).Elem()
		e.Value.decode(elem)
		m.SetMapIndex(reflect.ValueOf(e.Key.name).Convert(to.Type().Key()), elem)
	}
	to.Set(m)
}

func (v Value) decodeSlice(to reflect.Value) {
	var items []Value
	if to.Type().Elem().Kind() == reflect.String {
		if !v.IsList() && !v.IsText() {
			v.wants("text, or a list of texts", false, "")
			return
		}
		items = v.OneOrMore()
	} else {
		items = v.Items(wantsList)
	}
	s := reflect.MakeSlice(to.Type(), len(items), len(items))
	for i, item := range items {
		item.decode(s.Index(i))
	}
	to.Set(s)
}

// field is one key that a struct has.
type field struct {
	name     string
	required bool
	value    reflect.Value
}

func fields(to reflect.Value) []field {
	var all []field
	for i := range to.NumField() {
		sf := to.Type().Field(i)
		name, options, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			all = append(all, fields(to.Field(i))...)
			continue
		case !sf.IsExported() || name == "-":
			continue
		case name == "":
			panic(fmt.Sprintf("strict: field %s of %s has no yaml tag", sf.Name, to.Type()))
		}
		all = append(all, field{name, options == "required", to.Field(i)})
	}
	return all
}

func (v Value) decodeStruct(to reflect.Value, others Handlers) {
	all := fields(to)
	known := make([]string, 0, len(all)+len(others))
	for _, f := range all {
		known = append(known, f.name)
	}
	for name := range others {
		known = append(known, name)
	}
	if !v.IsMap() {
		v.wants(wantsMap, false, DidYouMean("", known))
		return
	}
	if !v.checkTag() {
		return
	}
	entries := v.Entries(wantsMap)
	for _, e := range entries {
		e.decodeKey(all, others, known)
	}
	for _, f := range all {
		if f.required && find(entries, f.name) == nil {
			v.Report("", "%skey %q is missing", v.prefix(), f.name)
		}
	}
}

func (e Entry) decodeKey(all []field, others Handlers, known []string) {
	for _, f := range all {
		if f.name == e.Key.name {
			e.Value.decode(f.value)
			return
		}
	}
	if handle := others[e.Key.name]; handle != nil {
		handle(e)
		return
	}
	e.Key.ReportUnknown("key", known)
}

// ReportUnknown reports a key that is none of the known ones; kind says what
// keys are here: "key", "operator".
func (v Value) ReportUnknown(kind string, known []string) {
	hint := DidYouMean(v.name, known)
	if glued(v.name) {
		hint = hintGlued
	}
	v.Report(hint, "unknown %s %s", kind, quoted(v.name))
}

// prefix names the section for errors about what it lacks.
func (v Value) prefix() string {
	if v.name == "" || v.item {
		return ""
	}
	return v.name + ": "
}
