package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/journald-router/journald-router/emit"
)

// client takes an answer that does not come for an error.
var client = &http.Client{Timeout: 10 * time.Second}

// customers use the shop, and know what is to come of it.
type customers struct {
	url string

	mu       sync.Mutex
	asked    tally
	requests int
}

func (r *rig) newCustomers() *customers { return &customers{url: r.url, asked: make(tally)} }

// do makes a request, which has to be answered with 200, and then counts what it asks for.
func (c *customers) do(method, path, contentType string, body []byte, asks ...[2]string) error {
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	reply, err := client.Do(req)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, reply.Status, text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	for _, ask := range asks {
		c.asked.add(ask[0], ask[1], 1)
	}
	return nil
}

func (c *customers) answered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

func (c *customers) look(page string) error {
	return c.do("GET", page, "", nil, [2]string{inReport, page})
}

func (c *customers) signUp(name string) error {
	address := strings.ToLower(name) + "@example.com"
	form := url.Values{"name": {name}, "email": {address}}.Encode()
	return c.do("POST", "/signup", "application/x-www-form-urlencoded", []byte(form),
		[2]string{inSlack, address + " has signed up"},
		[2]string{inMail, welcome(address, "Welcome, "+name, "Hello "+name+",\n\nwelcome to the shop!")},
		[2]string{inBodies, "/signup " + form})
}

func welcome(to, subject, text string) string {
	return fmt.Sprintf("to %s: %s: %s", to, subject, strings.TrimSpace(text))
}

func (c *customers) upload(name, contentType string, content []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition("file", name)}, "Content-Type": {contentType},
	})
	if err != nil {
		return err
	}
	part.Write(content)
	form.Close()
	return c.do("POST", "/upload", form.FormDataContentType(), body.Bytes(), [2]string{inBucket, object(name, contentType, content)})
}

func object(name, contentType string, content []byte) string {
	return fmt.Sprintf("%s, %s: %s", name, contentType, content)
}

// pay is what the payment provider says of a payment, whatever that is.
func (c *customers) pay(notice []byte) error {
	return c.do("POST", "/hooks/payment", "application/octet-stream", notice, [2]string{inBodies, "/hooks/payment " + string(notice)})
}

// stats asks the shop what has become of its entries.
func (r *rig) stats() (s emit.Stats, err error) {
	reply, err := client.Get(r.url + "/stats")
	if err != nil {
		return s, err
	}
	defer reply.Body.Close()
	err = json.NewDecoder(reply.Body).Decode(&s)
	return s, err
}
