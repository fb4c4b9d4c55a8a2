package action

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// comparisons are in the place of text/template's, which make an error of a number
// and a text, as all captures and fields are: where one of the two is a number, both
// are compared as numbers, exactly; else as texts. A text that is none is not equal
// to a number, and neither less nor greater.
var comparisons = map[string]any{
	"eq": func(a, b any, others ...any) bool {
		for _, b := range append(others, b) {
			if order, ok := compare(a, b); ok && order == 0 {
				return true
			}
		}
		return false
	},
	"ne": func(a, b any) bool { order, ok := compare(a, b); return !ok || order != 0 },
	"lt": func(a, b any) bool { order, ok := compare(a, b); return ok && order < 0 },
	"le": func(a, b any) bool { order, ok := compare(a, b); return ok && order <= 0 },
	"gt": func(a, b any) bool { order, ok := compare(a, b); return ok && order > 0 },
	"ge": func(a, b any) bool { order, ok := compare(a, b); return ok && order >= 0 },
}

func compare(a, b any) (order int, ok bool) {
	x, numberA := number(a)
	y, numberB := number(b)
	if numberA || numberB {
		m, okA := parseDecimal(x)
		n, okB := parseDecimal(y)
		if okA && okB {
			return m.compare(n), true
		}
		// .Time.Weekday is 6 and Saturday, and so are months.
		if x == toText(a) && y == toText(b) {
			return 0, false
		}
	}
	return strings.Compare(toText(a), toText(b)), true
}

// number is how a number is written, or else the text of v.
func number(v any) (s string, ok bool) {
	switch v.(type) {
	case json.Number, uint, uint8, uint16, uint32, uint64, float32, float64:
		return toText(v), true
	}
	if r := reflect.ValueOf(v); r.CanInt() {
		return strconv.FormatInt(r.Int(), 10), true
	}
	return toText(v), false
}

// A decimal is sign * 0.digits * 10^exponent. Its digits neither begin nor end with a
// zero; zero has the sign 0. So it is exact, and takes no more memory than what was
// written, whatever the exponent.
type decimal struct {
	sign     int
	digits   string
	exponent int64
}

// parseDecimal takes numbers as JSON has them, and those that people write: 007, +1.
func parseDecimal(s string) (decimal, bool) {
	d := decimal{sign: 1}
	switch {
	case strings.HasPrefix(s, "-"):
		d.sign, s = -1, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i+1:]
		// Beyond an int64, where nobody counts, it is clamped.
		var err error
		if d.exponent, err = strconv.ParseInt(exponent, 10, 64); err != nil && !errors.Is(err, strconv.ErrRange) {
			return decimal{}, false
		}
		d.exponent = max(min(d.exponent, math.MaxInt64/2), math.MinInt64/2) // room for the digits'
	}
	whole, fraction, dot := strings.Cut(mantissa, ".")
	if !isDigits(whole) || dot && !isDigits(fraction) {
		return decimal{}, false
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return decimal{}, true
	}
	d.exponent += int64(len(digits) - len(fraction))
	d.digits = strings.TrimRight(digits, "0")
	return d, true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (d decimal) compare(other decimal) int {
	if d.sign != other.sign || d.sign == 0 {
		return cmp.Compare(d.sign, other.sign)
	}
	return d.sign * cmp.Or(cmp.Compare(d.exponent, other.exponent), strings.Compare(d.digits, other.digits))
}
