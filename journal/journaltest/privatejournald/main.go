// Privatejournald runs a private systemd-journald in the foreground, where the
// machine has none or for a demonstration, and sends lines to it:
//
//	privatejournald --namespace NAME        until SIGINT or SIGTERM; then nothing of it is left
//	privatejournald send --namespace NAME   logs each line of standard input
//
// It takes root. Once it can be logged to it prints the journal's directory.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "privatejournald:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	send := len(args) > 0 && args[0] == "send"
	if send {
		args = args[1:]
	}
	flags := flag.NewFlagSet("privatejournald", flag.ExitOnError)
	namespace := flags.String("namespace", "", "`NAME` of the journal namespace")
	identifier := flags.String("identifier", "", "SYSLOG_IDENTIFIER of the lines to send")
	flags.Parse(args)
	if *namespace == "" || flags.NArg() > 0 {
		return errors.New("want --namespace NAME and nothing after it")
	}
	if send {
		return sendLines(*namespace, *identifier)
	}
	return serve(*namespace)
}

func serve(namespace string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	j, err := journaltest.Run(journaltest.Options{Namespace: namespace})
	if err != nil {
		return err
	}
	fmt.Println(j.Dir())
	select {
	case <-signals:
	case <-j.Done():
		err = errors.New("systemd-journald ended by itself")
	}
	return errors.Join(err, j.Close())
}

func sendLines(namespace, identifier string) error {
	client := journaltest.NewClient(namespace)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := []journal.Field{{Name: journal.FieldMessage, Value: lines.Bytes()}}
		if identifier != "" {
			fields = append(fields, journal.Field{Name: "SYSLOG_IDENTIFIER", Value: []byte(identifier)})
		}
		if err := client.Send(fields...); err != nil {
			return err
		}
	}
	return lines.Err()
}
