package slack

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/slack-go/slack"
)

// share uploads a file into a thread. An error of the first two steps means that nothing is to
// be seen of it: only the last one shares the file.
// https://docs.slack.dev/messaging/working-with-files#upload
func (a *Action) share(ctx context.Context, u *upload, channel, parent string) error {
	id, address, err := a.uploadTo(ctx, u)
	if err != nil {
		return nothingDone(err)
	}
	if err := a.send(ctx, address, u.content); err != nil {
		// The address says who may upload.
		return nothingDone(action.Redact(err, address.String(), address.RequestURI(), address.Path))
	}
	ctx, cancel := a.request(ctx)
	defer cancel()
	_, err = a.api.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
		Files: []slack.FileSummary{{ID: id, Title: u.name}}, Channel: channel, ThreadTimestamp: parent,
	})
	return asked(err)
}

// uploadTo asks where to upload a file to.
func (a *Action) uploadTo(ctx context.Context, u *upload) (id string, address *url.URL, err error) {
	ctx, cancel := a.request(ctx)
	defer cancel()
	ticket, err := a.api.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{FileName: u.name, FileSize: len(u.content)})
	if err != nil {
		return "", nil, asked(err)
	}
	address, err = url.Parse(ticket.UploadURL)
	if err != nil || ticket.FileID == "" || !(address.Scheme == "https" || address.Scheme == "http" && strings.HasPrefix(a.config.APIURL, "http:")) {
		return "", nil, errors.New("the reply is not Slack's: it names no address for a file (does api_url lead to Slack?)")
	}
	return ticket.FileID, address, nil
}

// send uploads the content by hand: slack-go would send the token along.
func (a *Action) send(ctx context.Context, address *url.URL, content []byte) error {
	ctx, cancel := a.request(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	_, _, err = sender{a.http, &a.clock}.send(req)
	return err
}

// hasFile says whether a message brings the file.
func hasFile(m slack.Message, u *upload) bool {
	for _, f := range m.Files {
		if f.Name == u.name {
			return true
		}
	}
	return false
}
