package slacktest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data"
	jsonType      = "application/json"
)

// A request is what a client sent, in any of the forms that Slack takes.
type request struct {
	method      string // as methodOf tells it
	httpMethod  string
	path, base  string // base is the address of the server
	contentType string
	body        []byte
	token       string
	args        map[string]any // strings, and whatever else JSON holds
	file        []byte         // a form's one file
	argsErr     string         // Slack's word for why they could not be read
}

// read takes the arguments from where they may be; the words for what is wrong
// with the body are common to all methods:
// https://docs.slack.dev/reference/methods/chat.postMessage#errors
func read(r *http.Request) (request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return request{}, err
	}
	req := request{
		method: methodOf(r.URL.Path), httpMethod: r.Method, path: r.URL.Path, base: "http://" + r.Host,
		body: body, args: map[string]any{},
	}
	if r.TLS != nil {
		req.base = "https://" + r.Host
	}
	req.take(r.URL.Query())
	var params map[string]string
	req.contentType, params, _ = mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method == http.MethodGet && len(body) == 0:
	case req.contentType == formType:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			req.argsErr = "invalid_form_data"
		}
		req.take(form)
	case req.contentType == multipartType:
		if err := req.takeMultipart(params["boundary"]); err != nil {
			req.argsErr = "invalid_form_data"
		}
	case req.contentType == jsonType:
		if err := json.Unmarshal(body, &req.args); err != nil {
			req.argsErr = "invalid_json"
		}
	case req.contentType == "":
		req.argsErr = "missing_post_type"
	default:
		req.argsErr = "invalid_post_type"
	}
	if req.contentType != jsonType {
		req.token = req.text("token")
	}
	// With JSON, the token comes in the header only.
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		req.token = bearer
	}
	return req, nil
}

func (r *request) take(form url.Values) {
	for name, values := range form {
		r.args[name] = values[0]
	}
}

func (r *request) takeMultipart(boundary string) error {
	form, err := multipart.NewReader(bytes.NewReader(r.body), boundary).ReadForm(int64(len(r.body)))
	if err != nil {
		return err
	}
	defer form.RemoveAll()
	r.take(form.Value)
	for _, files := range form.File {
		f, err := files[0].Open()
		if err != nil {
			return err
		}
		defer f.Close()
		if r.file, err = io.ReadAll(f); err != nil {
			return err
		}
	}
	return nil
}

func (r request) text(name string) string {
	s, _ := r.args[name].(string)
	return s
}

// yes reads an argument that is a boolean, in each of the forms that Slack takes.
func (r request) yes(name string) bool {
	switch v := r.args[name].(type) {
	case bool:
		return v
	case string:
		return v == "1" || v == "true"
	case float64:
		return v == 1
	}
	return false
}

// number reads an argument that is a whole number.
func (r request) number(name string, otherwise int) (n int, ok bool) {
	switch v := r.args[name].(type) {
	case nil:
		return otherwise, true
	case float64:
		return int(v), v == float64(int(v))
	case string:
		n, err := strconv.Atoi(v)
		return n, err == nil
	}
	return 0, false
}

// object returns an argument that is JSON: as a string in a form, else as it is.
// A null is as good as none.
func (r request) object(name string, into any) (there bool, err error) {
	arg := r.args[name]
	if arg == nil || arg == "" || arg == "null" {
		return false, nil
	}
	b, isText := arg.(string)
	if !isText {
		raw, err := json.Marshal(arg)
		if err != nil {
			return true, err
		}
		b = string(raw)
	}
	return true, json.Unmarshal([]byte(b), into)
}
