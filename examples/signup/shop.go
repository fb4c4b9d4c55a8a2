package main

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/emit/capture"
)

// maxUpload is how many bytes an upload may have.
const maxUpload = 8 << 20

// A shop logs what is to be done. Send returns in less than a microsecond, whatever
// journald, the router, Slack or the mail server are doing.
type shop struct{ entries *emit.Emitter }

func newShop(entries *emit.Emitter) http.Handler {
	s := shop{entries}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{name}", s.product)
	mux.HandleFunc("POST /signup", s.signup)
	mux.HandleFunc("POST /upload", s.upload)
	mux.HandleFunc("POST /hooks/payment", s.payment)
	mux.HandleFunc("GET /stats", s.stats)
	// The raw bodies of these are kept. Were there passwords in one, it should not be here.
	keep := capture.New(entries, capture.Options{Choose: func(r *http.Request) bool {
		return r.Method == http.MethodPost && (r.URL.Path == "/signup" || strings.HasPrefix(r.URL.Path, "/hooks/"))
	}})
	return keep.Wrap(mux)
}

// product shows a page; that it was seen, and how long it took, goes into the report.
func (s shop) product(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	fmt.Fprintf(w, "<h1>%s</h1>\n", html.EscapeString(r.PathValue("name")))
	s.entries.Send(emit.Info, "page view", emit.String("PAGE", r.URL.Path), emit.Duration("TOOK", time.Since(start)))
}

// signup is announced in Slack, and welcomed by mail.
func (s shop) signup(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("name")
	address, err := mail.ParseAddress(r.FormValue("email"))
	if err != nil {
		http.Error(w, "that is no mail address", http.StatusBadRequest)
		return
	}
	s.entries.Send(emit.Info, "SLACK: "+address.Address+" has signed up")
	s.entries.Send(emit.Info, fmt.Sprintf("Hello %s,\n\nwelcome to the shop!", name),
		emit.String("MAIL_TO", address.Address), emit.String("SUBJECT", "Welcome, "+name))
	fmt.Fprintf(w, "Welcome, %s!\n", html.EscapeString(name))
}

// upload takes a file from a form; it goes to the bucket, byte for byte.
func (s shop) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	file, header, err := r.FormFile("file")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.entries.Send(emit.Info, "upload: "+header.Filename, emit.Bytes("UPLOAD", content),
		emit.String("UPLOAD_NAME", header.Filename), emit.String("CONTENT_TYPE", header.Header.Get("Content-Type")))
	fmt.Fprintln(w, "Thank you!")
}

// payment is called by the payment provider, who wants an answer at once. What it says
// is kept, to be looked at later: capture has read it.
func (s shop) payment(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
}

// stats says what has become of the entries. In a real shop it would not be public.
func (s shop) stats(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(s.entries.Stats())
}
