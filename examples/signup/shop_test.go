package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/emit"
)

// TestRefusals: what is refused asks for nothing, and is logged at most as it came. The
// walk has what is taken.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		path, contentType, body string
		entries                 uint64
	}{
		{"/signup", "application/x-www-form-urlencoded", "name=Eve&email=eve", 1},
		{"/signup", "application/x-www-form-urlencoded", "name=Eve&email=a@example.com,b@example.com", 1},
		{"/upload", "text/plain", "no form", 0},
		{"/upload", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" +
			strings.Repeat("0", maxUpload) + "\r\n--x--\r\n", 0},
	} {
		entries := emit.New(emit.Options{Socket: filepath.Join(t.TempDir(), "none")})
		r := httptest.NewRequest("POST", tt.path, strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		newShop(entries).ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s %.60q: %d %s", tt.path, tt.body, w.Code, w.Body)
		}
		if s := entries.Stats(); s.Sent != tt.entries {
			t.Errorf("%s %.60q: %+v", tt.path, tt.body, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		entries.Close(ctx) // there is no journald
	}
}
