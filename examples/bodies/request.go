package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A request is what an entry of emit/capture says of one. What the entry has no field
// for is nil.
type request struct {
	Cursor    string `json:"__CURSOR"`
	Time      string `json:"__REALTIME_TIMESTAMP"` // microseconds since 1970
	ID        value  `json:"REQUEST_ID"`
	Method    value  `json:"REQUEST_METHOD"`
	Path      value  `json:"REQUEST_PATH"`
	Type      value  `json:"CONTENT_TYPE"`
	Body      value  `json:"BODY"`
	Length    value  `json:"BODY_LENGTH"`
	Truncated value  `json:"BODY_TRUNCATED"`
}

func parse(line []byte) (r request, err error) {
	err = json.Unmarshal(line, &r)
	return r, err
}

func (r request) time() time.Time {
	micros, _ := strconv.ParseInt(r.Time, 10, 64)
	return time.UnixMicro(micros)
}

// A value is a field's in journald's JSON: a string; an array of bytes, if it is no
// printable text; or an array of such values, if the field is there several times, of
// which this is the first. See the JSON part of journalctl(1), --output.
type value []byte

func (v *value) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var text string
		err := json.Unmarshal(b, &text)
		*v = value(text)
		return err
	case '[':
		if bytes, ok := bytesOf(b); ok {
			*v = bytes
			return nil
		}
		var several []value
		err := json.Unmarshal(b, &several)
		if err == nil {
			*v = several[0]
		}
		return err
	case 'n':
		return errors.New("a value is left out, as it is large: use journalctl --all")
	}
	return fmt.Errorf("%.20s is no value of a field", b)
}

// bytesOf is for an array of numbers, as [0,255]. encoding/json, which has seen that this is
// JSON, takes five times as long.
func bytesOf(array []byte) (v value, ok bool) {
	v = make(value, 0, len(array)/3)
	n, digits := 0, false
	for _, c := range array[1:] {
		switch {
		case c >= '0' && c <= '9':
			n, digits = 10*n+int(c-'0'), true
		case (c == ',' || c == ']') && n <= 255:
			if digits {
				v = append(v, byte(n))
			}
			n, digits = 0, false
		case c != ' ':
			return nil, false
		}
	}
	return v, true
}
