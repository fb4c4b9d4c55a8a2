package main

import (
	"encoding/json"
	"errors"
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
	if string(b) == "null" {
		return errors.New("a value is left out, as it is large: use journalctl --all")
	}
	var text string
	if b[0] == '"' {
		err := json.Unmarshal(b, &text)
		*v = value(text)
		return err
	}
	var numbers []uint16 // of []uint8 it would make base64
	if err := json.Unmarshal(b, &numbers); err == nil {
		*v = make(value, len(numbers))
		for i, n := range numbers {
			(*v)[i] = byte(n)
		}
		return nil
	}
	var several []value
	if err := json.Unmarshal(b, &several); err != nil {
		return err
	}
	*v = several[0]
	return nil
}
