package slacktest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action/slack/slacktest"
)

const multiFile = "--x\r\nContent-Disposition: form-data; name=file; filename=a.txt\r\n\r\nhello\r\n--x--\r\n"

func TestUpload(t *testing.T) {
	growth := slacktest.ChannelID("#growth")
	for _, tt := range []struct{ name, contentType, body string }{
		{"raw", "application/octet-stream", "hello"},
		{"raw, without a type", "", "hello"},
		{"multipart", "multipart/form-data; boundary=x", multiFile},
	} {
		s := serve(t)
		root := post(t, s, "root", "")
		got := call(t, s, "files.getUploadURLExternal", args{"filename": "a.txt", "length": "5"})
		if status, _ := send(t, got.UploadURL, tt.contentType, "", tt.body); status != 200 {
			t.Errorf("%s: %d", tt.name, status)
		}
		complete := args{
			"files": `[{"id":"` + got.FileID + `","title":"all of it"}]`, "channel_id": growth, "thread_ts": root, "initial_comment": "the rest",
		}
		r := call(t, s, "files.completeUploadExternal", complete)
		if !r.OK || len(r.Files) != 1 || r.Files[0].ID != got.FileID || r.Files[0].Title != "all of it" {
			t.Fatalf("%s: %+v", tt.name, r)
		}
		m := s.Messages()[1]
		want := []slacktest.File{{ID: got.FileID, Name: "a.txt", Title: "all of it", Content: []byte("hello")}}
		if diff := cmp.Diff(want, m.Files); diff != "" || m.Says() != "the rest" || m.ThreadTS != root {
			t.Errorf("%s: %+v (-want +got):\n%s", tt.name, m, diff)
		}
		shown := call(t, s, "conversations.replies", args{"channel": growth, "ts": root}).Messages[1]
		if len(shown.Files) != 1 || shown.Files[0].ID != got.FileID || shown.Files[0].Name != "a.txt" {
			t.Errorf("%s: %+v", tt.name, shown)
		}
		if status, _ := send(t, got.UploadURL, tt.contentType, "", tt.body); status != 404 {
			t.Errorf("%s: bytes for a file that is shared already: %d", tt.name, status)
		}
		if r := call(t, s, "files.completeUploadExternal", complete); r.Error != "file_not_found" {
			t.Errorf("%s: a second time: %+v", tt.name, r)
		}
	}
}

// Where an upload goes wrong, and with which answer.
func TestUploadErrors(t *testing.T) {
	s := serve(t)
	s.Channels = []string{"#growth", "#left", "#old"}
	s.Member("#left", false)
	s.Archive("#old", true)
	for _, tt := range []struct {
		args args
		want string
	}{
		{args{"length": "5"}, "missing_argument"},
		{args{"filename": "a.txt"}, "missing_argument"},
		{args{"filename": "a.txt", "length": "0"}, "missing_argument"},
		{args{"filename": "a.txt", "length": "-1"}, "invalid_arguments"},
		{args{"filename": "a.txt", "length": "long"}, "invalid_arguments"},
		{args{"filename": "a.txt", "length": strconv.Itoa(1<<20 + 1), "snippet_type": "text"}, "snippet_too_large"},
		{args{"filename": "a.txt", "length": strconv.Itoa(1<<20 + 1)}, ""},
	} {
		if r := call(t, s, "files.getUploadURLExternal", tt.args); r.Error != tt.want {
			t.Errorf("%v: %q, not %q", tt.args, r.Error, tt.want)
		}
	}

	arrive := func(content string) (id string) {
		r := call(t, s, "files.getUploadURLExternal", args{"filename": "a.txt", "length": "5"})
		want := http.StatusOK
		if len(content) != 5 {
			want = http.StatusBadRequest
		}
		if status, answer := send(t, r.UploadURL, "application/octet-stream", "", content); status != want {
			t.Errorf("%q: %d %s", content, status, answer)
		}
		return r.FileID
	}
	file := func(id string) string { return `[{"id":"` + id + `"}]` }
	good := arrive("hello")
	for _, tt := range []struct {
		args args
		want string
	}{
		{args{}, "invalid_arguments"},
		{args{"files": "[]"}, "invalid_arguments"},
		{args{"files": "nope"}, "invalid_arguments"},
		{args{"files": file("F0")}, "file_not_found"},
		{args{"files": file(arrive("hell"))}, "file_not_found"},
		{args{"files": file(arrive("hello!"))}, "file_not_found"},
		{args{"files": file(good), "channel_id": "#growth"}, "channel_not_found"},
		{args{"files": file(good), "channel_id": slacktest.ChannelID("#left")}, "not_in_channel"},
		{args{"files": file(good), "channel_id": slacktest.ChannelID("#old")}, "posting_to_channel_denied"},
		{args{"files": file(good), "channel_id": slacktest.ChannelID("#growth"), "thread_ts": "0"}, "invalid_thread_ts"},
		{args{"files": file(good), "initial_comment": strings.Repeat("x", 40_001)}, "msg_too_long"},
		{args{"files": file(good)}, ""}, // private
		{args{"files": file(good)}, "file_not_found"},
	} {
		if r := call(t, s, "files.completeUploadExternal", tt.args); r.Error != tt.want {
			t.Errorf("%v: %q, not %q", tt.args, r.Error, tt.want)
		}
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d messages", n)
	}
	if status, _ := send(t, strings.TrimSuffix(s.APIURL(), "/api/")+"/upload/v1/F0", "", "", "x"); status != http.StatusNotFound {
		t.Errorf("an address that is none: %d", status)
	}
	resp, err := http.Get(call(t, s, "files.getUploadURLExternal", args{"filename": "a", "length": "1"}).UploadURL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.StatusCode)
	}
}
