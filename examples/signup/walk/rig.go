package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/journald-router/journald-router/action/email/emailtest"
	"github.com/journald-router/journald-router/action/s3/s3test"
	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal/journaltest"
)

const (
	bucketName = "shop-uploads"
	// shopUser is whom the shop runs as: nobody. The router runs as root here, as it
	// reads a private journal.
	shopUser = 65534
)

// A rig is the shop, the router, and everything that the two of them need, on this
// machine.
type rig struct {
	dir     string
	journal *journaltest.Journald
	slack   *slacktest.Server
	mail    *emailtest.Server
	s3      *s3test.Server
	router  *program
	shop    *program
	url     string // of the shop

	shown map[string]string // bodies that were looked at, by their request's id
}

// start starts it all.
func start(ctx context.Context) (r *rig, err error) {
	r = &rig{shown: make(map[string]string)}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.dir, err = os.MkdirTemp("", "example-"); err != nil {
		return r, err
	}
	if err = os.Chmod(r.dir, 0o711); err != nil { // the shop's program is in there
		return r, err
	}
	if err = build(r.dir, "cmd/journald-router", "examples/signup", "examples/bodies"); err != nil {
		return r, err
	}
	if r.journal, err = journaltest.Run(journaltest.Options{}); err != nil {
		return r, err
	}
	r.slack = slacktest.NewServer()
	if r.mail, err = emailtest.Start(r.dir, emailtest.Options{Mechanisms: []string{"PLAIN"}, UTF8: true}); err != nil {
		return r, err
	}
	if r.s3, err = s3test.Start(r.dir); err != nil {
		return r, err
	}
	if err = r.s3.MakeBucket(ctx, bucketName); err != nil {
		return r, err
	}
	config, err := r.configure()
	if err != nil {
		return r, err
	}
	r.router = &program{
		command: []string{filepath.Join(r.dir, "journald-router"), "run", "--config", config},
		env:     []string{"STATE_DIRECTORY=" + r.path("state"), "CREDENTIALS_DIRECTORY=" + r.path("credentials")},
		log:     r.path("router.log"),
	}
	check := exec.CommandContext(ctx, r.router.command[0], "check", "--connect", "--config", config)
	check.Env = append(os.Environ(), r.router.env...)
	if out, err := check.CombinedOutput(); err != nil {
		return r, fmt.Errorf("check the configuration: %w\n%s", err, out)
	}
	if _, err = r.router.start(); err != nil {
		return r, err
	}
	return r, r.startShop(emit.DefaultEntries)
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// startShop starts the shop with an emitter whose queue has room for so many entries.
func (r *rig) startShop(queue int) error {
	r.shop = &program{
		command: []string{r.path("signup"), "-listen", "127.0.0.1:0",
			"-journal", "/run/systemd/journal." + r.journal.Namespace() + "/socket", "-queue", fmt.Sprint(queue)},
		log:  r.path("shop.log"),
		user: shopUser,
	}
	line, err := r.shop.firstLine()
	r.url = strings.TrimPrefix(line, "serving at ")
	return err
}

// configure writes router.yaml as it is shipped, but for the places where things are on
// this machine, and returns its path.
func (r *rig) configure() (path string, err error) {
	for _, dir := range []string{"state", "log", "credentials", "config.d"} {
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			return "", err
		}
	}
	shipped, err := os.ReadFile(filepath.Join(source(), "../router.yaml"))
	if err != nil {
		return "", err
	}
	config := string(shipped)
	for there, here := range map[string]string{
		"https://slack.com/api/":         r.slack.APIURL(),
		"host: smtp.example.com":         fmt.Sprintf("host: localhost\n      port: %d\n      tls: {ca: %s}", r.mail.Port(), r.mail.CA),
		"https://minio.example.com:9000": r.s3.Endpoint,
		"/var/lib/journald-router":       r.path("state"),
		"/var/log/journald-router":       r.path("log"),
		// No systemd has started the shop: it is told by its user.
		"_SYSTEMD_UNIT: shop.service": fmt.Sprint("_UID: ", shopUser),
	} {
		if !strings.Contains(config, there) {
			return "", fmt.Errorf("router.yaml does not have %q any more", there)
		}
		config = strings.ReplaceAll(config, there, here)
	}
	files := map[string]string{
		"config.yaml":               config,
		"config.d/journal.yaml":     fmt.Sprintf("journal: {namespace: %s, start: beginning}\n", r.journal.Namespace()),
		"credentials/slack-token":   slacktest.Token,
		"credentials/smtp-password": emailtest.Password,
		"credentials/s3-access-key": s3test.AccessKey,
		"credentials/s3-secret-key": s3test.SecretKey,
	}
	for name, text := range files {
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return r.path("config.yaml"), nil
}

// close ends all of it, and removes it.
func (r *rig) close() error {
	var errs []error
	for _, p := range []*program{r.shop, r.router} {
		if p != nil {
			errs = append(errs, p.stop())
		}
	}
	if r.journal != nil {
		errs = append(errs, r.journal.Close())
	}
	if r.slack != nil {
		r.slack.Close()
	}
	if r.mail != nil {
		r.mail.Stop()
	}
	if r.s3 != nil {
		r.s3.Kill()
	}
	return errors.Join(append(errs, os.RemoveAll(r.dir))...)
}
