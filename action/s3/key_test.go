package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// message is an entry with these fields, given as NAME=value.
func message(id string, fields ...string) action.Message {
	var all []journal.Field
	text := ""
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if name == journal.FieldMessage {
			text = value
		}
		all = append(all, journal.Field{Name: name, Value: []byte(value)})
	}
	record := journal.NewRecord("s=1;i="+id, time.Date(2026, 11, 27, 23, 59, 0, 0, time.UTC), 0, all...)
	return action.Message{ID: id, Rule: "r", Text: text, Record: record, Data: action.NewData(id, "r", text, nil, record)}
}

// TestKeys: what comes from an entry stays within its part of the key.
func TestKeys(t *testing.T) {
	const unit = `{{ .Time.UTC.Format "2006/01/02" }}/{{ .Unit }}/{{ .ID }}`
	tests := []struct {
		name, key string
		fields    []string
		want      string // the key, or
		err       string // a part of the permanent error
	}{
		{"unit", unit, []string{"_SYSTEMD_UNIT=shop@1.service"}, "2026/11/27/shop@1.service/0123", ""},
		{"by the date function", `{{ date "2006/01" .Time }}/{{ .ID }}`, nil, "2026/11/0123", ""},
		{"no unit", unit, nil, "2026/11/27/-/0123", ""},
		{"no unit at the beginning", "{{ .Unit }}/{{ .ID }}", nil, "-/0123", ""},
		{"slashes", unit, []string{"_SYSTEMD_UNIT=a/../b"}, "2026/11/27/a%2F..%2Fb/0123", ""},
		{"dots", unit, []string{"_SYSTEMD_UNIT=.."}, "2026/11/27/%2E%2E/0123", ""},
		{"a dot behind another", "a.{{ .Unit }}/{{ .ID }}", []string{"_SYSTEMD_UNIT=."}, "a.%2E/0123", ""},
		{"letters of the world", unit, []string{"_SYSTEMD_UNIT=Größe 漢字"}, "2026/11/27/Größe%20漢字/0123", ""},
		{"control characters, and what is not UTF-8", unit, []string{"_SYSTEMD_UNIT=\n\x00\u2028\xff%"}, "2026/11/27/%0A%00%E2%80%A8%FF%25/0123", ""},
		{"too long", unit, []string{"_SYSTEMD_UNIT=" + strings.Repeat("x", 1009)}, "", "has 1025 bytes, and may have 1024"},
		{"as long as can be", unit, []string{"_SYSTEMD_UNIT=" + strings.Repeat("x", 1008)}, "2026/11/27/" + strings.Repeat("x", 1008) + "/0123", ""},
		{"id only sometimes", "{{ if .Unit }}x{{ else }}{{ .ID }}{{ end }}", []string{"_SYSTEMD_UNIT=u"}, "", "has no {{ .ID }}"},
		{"a function fails", "{{ slice .Unit 0 5 }}/{{ .ID }}", []string{"_SYSTEMD_UNIT=u"}, "", "key: template: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bucket := newMemory(t)
			c := settings(bucket.URL, "the-bucket")
			c.Key = tt.key
			err := newAction(t, c).Deliver(t.Context(), []action.Message{message("0123", tt.fields...)})
			if tt.err != "" {
				if !action.IsPermanent(err) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v; want a permanent error with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, bucket.keys()); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBadKeyCostsNoOther: an entry that cannot have a key is a dead letter by itself.
func TestBadKeyCostsNoOther(t *testing.T) {
	bucket := newMemory(t)
	c := settings(bucket.URL, "the-bucket")
	c.Key = "{{ .Unit }}/{{ .ID }}"
	err := newAction(t, c).Deliver(t.Context(), []action.Message{message("1", "_SYSTEMD_UNIT=a"), message("2", "_SYSTEMD_UNIT="+strings.Repeat("x", 2000)), message("3", "_SYSTEMD_UNIT=a")})
	each, ok := err.(*action.BatchError)
	if !ok || each.Errs[0] != nil || !action.IsPermanent(each.Errs[1]) || each.Errs[2] != nil {
		t.Errorf("%v", err)
	}
	if got := bucket.entries(); !cmp.Equal(got, map[string]int{"1": 1, "3": 1}) {
		t.Errorf("in the bucket: %v", got)
	}
}

// TestBadContentTypeCostsNoOther: nor does one whose content_type fails, though the
// object would have been its.
func TestBadContentTypeCostsNoOther(t *testing.T) {
	bucket := newMemory(t)
	c := settings(bucket.URL, "the-bucket")
	c.ContentType = "text/{{ slice .Unit 0 3 }}"
	err := newAction(t, c).Deliver(t.Context(), []action.Message{message("1", "_SYSTEMD_UNIT=a"), message("2", "_SYSTEMD_UNIT=csv.service"), message("3", "_SYSTEMD_UNIT=a")})
	each, ok := err.(*action.BatchError)
	if !ok || !action.IsPermanent(each.Errs[0]) || !strings.Contains(each.Errs[0].Error(), "content_type: ") || each.Errs[1] != nil || each.Errs[2] != nil {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff(map[string][]string{"2026/11/27/2.ndjson.zst": {"2", "3"}}, bucket.contents()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}
