package slacktest

import (
	"fmt"
	"net/http"
	"path"
	"strings"
)

// uploadPath is where addresses for uploads begin, as in
// https://files.slack.com/upload/v1/ABC123
const uploadPath = "/upload/v1/"

// A File is one that a message brings.
type File struct {
	ID, Name, Title string
	Content         []byte
}

// An upload is a file between its announcement and its message.
type upload struct {
	File
	length   int
	arrived  bool
	finished bool
}

func (f File) object() map[string]any {
	return map[string]any{
		"id": f.ID, "name": f.Name, "title": f.Title, "size": len(f.Content), "mode": "hosted",
		"filetype": strings.TrimPrefix(path.Ext(f.Name), "."), "user": botUserID,
	}
}

// uploadURL is https://docs.slack.dev/reference/methods/files.getUploadURLExternal
func (s *Slack) uploadURL(r request) answer {
	length, ok := r.number("length", 0)
	name := r.text("filename")
	switch {
	case name == "" || ok && length == 0:
		// "Typically only occurs when the length provided is 0."
		return refuse("missing_argument")
	case !ok || length < 0:
		return refuse("invalid_arguments", "[ERROR] must be a positive integer [json-pointer:/length]")
	case r.text("snippet_type") != "" && length > 1<<20:
		// "snippets ... are limited to 1MB."
		return refuse("snippet_too_large")
	}
	u := &upload{length: length}
	u.ID, u.Name, u.Title = fmt.Sprintf("F%08d", len(s.uploads)+1), name, name
	s.uploads[u.ID] = u
	return accepted(map[string]any{"upload_url": r.base + uploadPath + u.ID, "file_id": u.ID})
}

// takeUpload takes the bytes: "Files can be sent as raw bytes or can be multipart
// form encoded. Slack will return HTTP 200 if the upload is successful; a non-200
// response indicates a failure." The page does not tell what it says besides.
func (s *Slack) takeUpload(r request) answer {
	u := s.uploads[strings.TrimPrefix(r.path, uploadPath)]
	content := r.body
	if r.contentType == multipartType {
		content = r.file
	}
	switch {
	case u == nil || u.finished:
		return plain(http.StatusNotFound, "not found")
	case r.httpMethod != http.MethodPost:
		return plain(http.StatusMethodNotAllowed, "method not allowed")
	case len(content) != u.length:
		return plain(http.StatusBadRequest, fmt.Sprintf("%d bytes, not %d", len(content), u.length))
	}
	u.Content, u.arrived = content, true
	return plain(http.StatusOK, fmt.Sprintf("OK - %d", len(content)))
}

// completeUpload is https://docs.slack.dev/reference/methods/files.completeUploadExternal.
// "This method can only be called once."
func (s *Slack) completeUpload(r request) answer {
	var named []struct{ ID, Title string }
	if there, err := r.object("files", &named); err != nil || !there || len(named) == 0 {
		return refuse("invalid_arguments", "[ERROR] missing required field: files")
	}
	var files []File
	for _, n := range named {
		u := s.uploads[n.ID]
		if u == nil || !u.arrived || u.finished {
			return refuse("file_not_found")
		}
		if n.Title != "" {
			u.Title = n.Title
		}
		files = append(files, u.File)
	}
	comment, problem := readContent(request{args: map[string]any{"text": r.args["initial_comment"]}}, maxText)
	if problem != nil {
		return problem.answer()
	}
	var lost Fault
	if r.text("channel_id") != "" {
		var refusal *answer
		if lost, refusal = s.shareFiles(r, comment, files); refusal != nil {
			return *refusal
		}
	}
	var done []any
	for _, f := range files {
		s.uploads[f.ID].finished = true
		done = append(done, map[string]any{"id": f.ID, "title": f.Title})
	}
	a := accepted(map[string]any{"files": done})
	a.lost = lost
	return a
}

// shareFiles makes the message that brings the files. Without a channel, they
// stay private.
func (s *Slack) shareFiles(r request, comment content, files []File) (lost Fault, refusal *answer) {
	c, ts := s.channelByID(r.text("channel_id")), r.text("thread_ts")
	switch {
	case c == nil:
		return OK, refusing("channel_not_found")
	case c.out:
		return OK, refusing("not_in_channel")
	case c.archived:
		return OK, refusing("posting_to_channel_denied")
	case ts != "" && !timestamp.MatchString(ts):
		return OK, badThreadTS(ts)
	}
	p := &post{channel: c, bot: botID}
	p.ThreadTS, p.Files = s.threadOf(c, ts), files
	p.say(comment)
	lost, err := s.accept(p)
	if err != nil {
		return OK, refusing("internal_error")
	}
	return lost, nil
}
