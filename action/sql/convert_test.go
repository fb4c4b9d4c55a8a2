package sql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action/sql"
)

func TestConvert(t *testing.T) {
	local := func(s string) any { // a time without a zone is local
		at, err := time.ParseInLocation("2006-01-02 15:04:05", s, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return at.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	tests := []struct {
		typ  sql.Type
		text string
		want any // an error's text if it begins with "!"
	}{
		{sql.Text, "", ""},
		{sql.Text, " a\x00b\xff ", " a␀b\ufffd "},
		{sql.Bytes, "", []byte{}},
		{sql.Bytes, "a\x00\xff", []byte("a\x00\xff")},

		{sql.Integer, "", nil},
		{sql.Integer, " \n", nil},
		{sql.Integer, " -42 ", int64(-42)},
		{sql.Integer, "+7", int64(7)},
		{sql.Integer, "9223372036854775807", int64(9223372036854775807)},
		{sql.Integer, "9223372036854775808", "!\"9223372036854775808\" is not of type integer, a whole number of at most 64 bits"},
		{sql.Integer, "1e6", int64(1000000)},
		{sql.Integer, "42.0", int64(42)},
		{sql.Integer, "42.5", `!"42.5" is not of type integer, a whole number of at most 64 bits`},
		{sql.Integer, "0x10", `!"0x10" is not of type integer, a whole number of at most 64 bits`},
		{sql.Integer, "NaN", `!"NaN" is not of type integer, a whole number of at most 64 bits`},
		{sql.Integer, "1e300", `!"1e300" is not of type integer, a whole number of at most 64 bits`},

		{sql.Real, "", nil},
		{sql.Real, "-1.5e3", -1500.0},
		{sql.Real, "inf", `!"inf" is not of type real`},
		{sql.Real, "NaN", `!"NaN" is not of type real`},
		{sql.Real, "1e999", `!"1e999" is not of type real`},

		{sql.Numeric, "", nil},
		{sql.Numeric, "12345678901234567890.10", "12345678901234567890.10"},
		{sql.Numeric, ".5", ".5"},
		{sql.Numeric, "5.", "5."},
		{sql.Numeric, "1e-7", "1e-7"},
		{sql.Numeric, "1,5", `!"1,5" is not of type numeric`},
		{sql.Numeric, "NaN", `!"NaN" is not of type numeric`},
		{sql.Numeric, "€ 5\nor\x1bso" + strings.Repeat("x", 100), `!"€ 5 or so` + strings.Repeat("x", 49) + `…" is not of type numeric`},

		{sql.Boolean, "", nil},
		{sql.Boolean, "TRUE", true},
		{sql.Boolean, "yes", true},
		{sql.Boolean, "1", true},
		{sql.Boolean, "off", false},
		{sql.Boolean, "F", false},
		{sql.Boolean, "maybe", `!"maybe" is not of type boolean: true, false, yes, no, on, off, 1, 0`},

		{sql.Timestamp, "", nil},
		{sql.Timestamp, "2026-01-31T08:00:00Z", "2026-01-31T08:00:00.000000Z"},
		{sql.Timestamp, "2026-01-31T08:00:00.1234567+02:00", "2026-01-31T06:00:00.123456Z"},
		{sql.Timestamp, "2026-01-31 08:00:00-0130", "2026-01-31T09:30:00.000000Z"},
		{sql.Timestamp, "2026-01-31 08:00:00.5 +0100 CET", "2026-01-31T07:00:00.500000Z"},
		{sql.Timestamp, "2026-01-31 08:00:00", local("2026-01-31 08:00:00")},
		{sql.Timestamp, "2026-01-31", local("2026-01-31 00:00:00")},
		{sql.Timestamp, "0", "1970-01-01T00:00:00.000000Z"},
		{sql.Timestamp, "1700000000.25", "2023-11-14T22:13:20.250000Z"},
		{sql.Timestamp, "1700000000123", "2023-11-14T22:13:20.123000Z"},
		{sql.Timestamp, "1700000000123456", "2023-11-14T22:13:20.123456Z"},
		{sql.Timestamp, "1700000000123456789", "2023-11-14T22:13:20.123456Z"},
		{sql.Timestamp, "-5", `!"-5" is not of type timestamp: 2026-01-31T08:00:00Z, 2026-01-31 08:00:00 or seconds since 1970`},
		{sql.Timestamp, "1.x", `!"1.x" is not of type timestamp: 2026-01-31T08:00:00Z, 2026-01-31 08:00:00 or seconds since 1970`},
		{sql.Timestamp, "31.1.2026", `!"31.1.2026" is not of type timestamp: 2026-01-31T08:00:00Z, 2026-01-31 08:00:00 or seconds since 1970`},
		{sql.Timestamp, "0000-01-01", `!"0000-01-01" is not of type timestamp: 2026-01-31T08:00:00Z, 2026-01-31 08:00:00 or seconds since 1970`},

		{sql.JSON, "", nil},
		{sql.JSON, ` {"a": [1, "b"]} `, `{"a": [1, "b"]}`},
		{sql.JSON, `"\u0000 \\u0000 \\\u0000 \n \""`, `"\u2400 \\u0000 \\\u2400 \n \""`},
		{sql.JSON, "\"\xff\"", "\"\ufffd\""},
		{sql.JSON, `{"a"`, `!"{\"a\"" is not of type json`},
	}
	for _, tt := range tests {
		got, err := tt.typ.Convert(tt.text)
		if err != nil {
			got = "!" + err.Error()
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s of %q (-want +got):\n%s", tt.typ, tt.text, diff)
		}
	}
}
