// Walk runs the shop of examples/signup with the router, a journald and all destinations
// on this machine, uses the shop, and shows what has arrived where, and how long the shop
// took to answer. It takes root, for the journald. Its exit code is 1 if not all has arrived.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/journald-router/journald-router/action/slack/slacktest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := walk(ctx, os.Stdout, 1000); err != nil {
		fmt.Fprintln(os.Stderr, "walk:", err)
		os.Exit(1)
	}
}

// walk measures each state with so many requests.
func walk(ctx context.Context, out io.Writer, requests int) (err error) {
	fmt.Fprintln(out, "Starting journald, Slack (a fake), a mail server, S3, the router, and the shop ...")
	r, err := start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	c := r.newCustomers()
	if err := visit(c); err != nil {
		return err
	}
	if err := r.untilArrived(ctx, c.asked); err != nil {
		return fmt.Errorf("%w\nthe router's log:\n%s", err, r.router.logged())
	}
	if err := r.show(ctx, out); err != nil {
		return err
	}
	if err := r.latencies(ctx, out, c, requests); err != nil {
		return err
	}
	if err := r.untilArrived(ctx, c.asked); err != nil {
		return fmt.Errorf("%w\nthe router's log:\n%s", err, r.router.logged())
	}
	s, err := r.stats()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d requests, all answered with 200, have made %d entries, of which %d were dropped. All has arrived:\n",
		c.answered(), s.Sent, s.Dropped)
	for _, destination := range []string{inSlack, inMail, inBucket, inReport, inBodies} {
		fmt.Fprintf(out, "  %-12s %4d\n", destination, c.asked.count(destination))
	}
	return nil
}

// visit does one of everything, with bytes that are no text.
func visit(c *customers) error {
	picture := make([]byte, 300_000)
	rand.Read(picture)
	var errs []error
	for _, page := range []string{"/products/cup", "/products/pot", "/products/cup"} {
		errs = append(errs, c.look(page))
	}
	return errors.Join(append(errs, c.signUp("Ada"), c.signUp("Zoë"), c.upload("cup.png", "image/png", picture),
		c.pay([]byte(`{"order": 4711, "total": 19.90}`)), c.pay([]byte("\x00\xff\r\n\nMESSAGE=forged\n")), c.pay(nil))...)
}

// show prints what is where.
func (r *rig) show(ctx context.Context, out io.Writer) error {
	for _, m := range r.slack.Messages() {
		fmt.Fprintf(out, "\nSlack, %s: %s", m.Channel, m.Says())
	}
	for _, m := range r.mail.Mails() {
		fmt.Fprintf(out, "\nmail to %s: %s", strings.Join(m.To, ", "), m.Header("Subject"))
	}
	objects, err := r.s3.Objects(ctx, bucketName)
	if err != nil {
		return err
	}
	for _, o := range objects {
		fmt.Fprintf(out, "\nS3, %s: %s, %d bytes, %s", bucketName, o.Key, len(o.Content), o.ContentType)
	}
	report, err := r.report(ctx)
	if err != nil {
		return err
	}
	for _, v := range report {
		fmt.Fprintf(out, "\nSQL, report.db: %s: %d views, %.0f µs on average", v.page, v.n, v.took*1e6)
	}
	bodies, err := r.bodies("list")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n\n$ bodies list requests.jsonl\n%s", bodies)
	return nil
}

// latencies measures and prints how long the shop takes while all is well, and while it
// is not.
func (r *rig) latencies(ctx context.Context, out io.Writer, c *customers, requests int) error {
	fmt.Fprintf(out, "\n%d requests each, in ms       p50    p99   times the first\n", requests)
	well, err := measure(c, requests)
	if err != nil {
		return err
	}
	well.print(out, "the router on", well)

	r.slack.Always(slacktest.Hang())
	before := r.slack.Requests()
	if err := c.signUp("Bob"); err != nil {
		return err
	}
	err = until(ctx, "Slack to hang", func() error {
		if r.slack.Requests() == before {
			return errors.New("the router has not called it")
		}
		return nil
	})
	if err != nil {
		return err
	}
	hanging, err := measure(c, requests)
	if err != nil {
		return err
	}
	hanging.print(out, "Slack hanging", well)
	r.slack.Always(slacktest.OK)

	if err := syscall.Kill(r.journal.PID(), syscall.SIGSTOP); err != nil {
		return err
	}
	stopped, err := measure(c, requests)
	if err = errors.Join(err, syscall.Kill(r.journal.PID(), syscall.SIGCONT)); err != nil {
		return err
	}
	stopped.print(out, "journald stopped", well)
	return nil
}
