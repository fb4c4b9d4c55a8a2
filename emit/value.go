package emit

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// appendText appends what follows a field's name, in the shorter form where that can be.
func appendText(b []byte, s string) []byte {
	if strings.IndexByte(s, '\n') >= 0 {
		b = appendLong(b, s)
	} else {
		b = append(append(b, '='), s...)
	}
	return append(b, '\n')
}

// appendFloat writes numbers as JSON has them: without an exponent unless it is very
// large or small.
func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'g'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// appendAny appends what follows the name of a field with any value. A method of the
// value's that panics does no harm.
func appendAny(b []byte, v any) (result []byte) {
	defer func() {
		if cause := recover(); cause != nil {
			if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && r.IsNil() {
				result = appendText(b, "<nil>")
			} else {
				result = appendText(b, fmt.Sprintf("!PANIC: %v", cause))
			}
		}
	}()
	switch v := v.(type) {
	case error:
		return appendText(b, v.Error())
	case fmt.Stringer:
		return appendText(b, v.String())
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return appendText(b, "!ERROR: "+err.Error())
		}
		return appendText(b, string(text))
	case []byte:
		return append(appendLong(b, v), '\n')
	case json.RawMessage:
		return appendText(b, string(v))
	}
	switch reflect.ValueOf(v).Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return appendText(b, fmt.Sprint(v))
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return appendText(b, "!ERROR: "+err.Error())
	}
	return appendText(b, strings.TrimSuffix(text.String(), "\n"))
}
