// Fakeslack runs the fake Slack of package slacktest as a program: for tests in
// which the router is a process, or a container, of its own.
//
// Every message that it accepts is one line of JSON in the log, on disk before
// the sender has its answer: {"channel":"#growth","text":"hello","id":"..."}. The
// text of a message of blocks is that of its sections.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	logPath := flag.String("log", "", "`file` to append every accepted message to, as a line of JSON")
	token := flag.String("token", slacktest.Token, "the bot's `token`; any other is refused")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "fakeslack: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(*listen, *logPath, *token); err != nil {
		fmt.Fprintln(os.Stderr, "fakeslack:", err)
		os.Exit(1)
	}
}

func run(listen, logPath, token string) error {
	fake := slacktest.New()
	fake.Token = token
	if logPath != "" {
		log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		fake.OnAccept = func(m slacktest.Message) error { return appendTo(log, m) }
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("listening: api_url: http://%s%s  webhook_url: http://%[1]s%[3]s\n", l.Addr(), slacktest.APIPath, slacktest.WebhookPath)
	return http.Serve(l, fake)
}

// appendTo writes one line, durably.
func appendTo(log *os.File, m slacktest.Message) error {
	line, err := json.Marshal(struct {
		Channel string `json:"channel"`
		Text    string `json:"text"`
		ID      string `json:"id"`
	}{m.Channel, m.Says(), m.ID})
	if err != nil {
		return err
	}
	if _, err := log.Write(append(line, '\n')); err != nil {
		return err
	}
	return log.Sync()
}
