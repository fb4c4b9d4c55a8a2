package rules

import (
	"bytes"
	"cmp"
)

// isDecimal is true for a number as journals and people have them: digits, with
// a sign and a fraction if wanted.
func isDecimal(s []byte) bool {
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	whole, fraction, dot := bytes.Cut(s, []byte("."))
	return isDigits(whole) && (!dot || isDigits(fraction))
}

func isDigits(s []byte) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) > 0
}

// compareDecimals compares two numbers digit by digit, and so exactly: journals
// are full of ids and times that a float64 would round.
func compareDecimals(a, b []byte) int {
	signA, wholeA, fractionA := cutDecimal(a)
	signB, wholeB, fractionB := cutDecimal(b)
	if signA != signB {
		return cmp.Compare(signA, signB)
	}
	return signA * cmp.Or(
		cmp.Compare(len(wholeA), len(wholeB)),
		bytes.Compare(wholeA, wholeB),
		bytes.Compare(fractionA, fractionB),
	)
}

// cutDecimal cuts a number into its sign, -1, 0 or 1, and its digits before and
// after the point, without zeros that mean nothing.
func cutDecimal(s []byte) (sign int, whole, fraction []byte) {
	sign = 1
	switch s[0] {
	case '-':
		sign, s = -1, s[1:]
	case '+':
		s = s[1:]
	}
	whole, fraction, _ = bytes.Cut(s, []byte("."))
	whole, fraction = bytes.TrimLeft(whole, "0"), bytes.TrimRight(fraction, "0")
	if len(whole) == 0 && len(fraction) == 0 {
		sign = 0
	}
	return sign, whole, fraction
}
