package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"

	_ "modernc.org/sqlite"
)

// patience is how long to wait for what must happen.
const patience = 30 * time.Second

// until polls, as it is for what other processes do.
func until(ctx context.Context, what string, done func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, err)
		}
	}
}

// untilArrived waits until what has arrived is what is wanted, no more and no less.
func (r *rig) untilArrived(ctx context.Context, want tally) error {
	return until(ctx, "what was asked for", func() error {
		got, err := r.arrived(ctx)
		if err != nil {
			return err
		}
		return got.differs(want)
	})
}

// arrived looks at all destinations. What the router has had to repeat, as after it was
// killed, bears the same id, and counts once.
func (r *rig) arrived(ctx context.Context) (tally, error) {
	t := make(tally)
	seen := make(map[string]bool)
	again := func(id string) bool {
		defer func() { seen[id] = true }()
		return seen[id]
	}
	for _, m := range r.slack.Messages() {
		if !again("slack " + m.ID) {
			t.add(inSlack, m.Says(), 1)
		}
	}
	for _, m := range r.mail.Mails() {
		if !again("mail " + m.Header("Message-Id")) {
			t.add(inMail, welcome(strings.Join(m.To, ", "), m.Header("Subject"), m.Text()), 1)
		}
	}
	objects, err := r.s3.Objects(ctx, bucketName)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		t.add(inBucket, object(path.Base(o.Key), o.ContentType, o.Content), 1)
	}
	views, err := r.report(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		t.add(inReport, v.page, v.n)
	}
	bodies, err := r.keptBodies()
	if err != nil {
		return nil, err
	}
	for _, b := range bodies {
		t.add(inBodies, b.path+" "+b.body, 1)
	}
	return t, nil
}

// views is a line of the report.
type views struct {
	page string
	n    int
	took float64 // seconds, on average
}

func (r *rig) report(ctx context.Context) (list []views, err error) {
	file := r.path("state/report.db")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT page, count(*), avg(took) FROM views GROUP BY page ORDER BY 2 DESC, page")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v views
		if err := rows.Scan(&v.page, &v.n, &v.took); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

type keptBody struct{ path, body string }

// keptBodies examines the bodies as people do, with examples/bodies.
func (r *rig) keptBodies() (list []keptBody, err error) {
	lines, err := r.bodies("list")
	if err != nil || lines == "" {
		return nil, err
	}
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n")[1:] {
		columns := strings.Fields(line) // time, id, method, path, size
		id, path := columns[1], columns[3]
		body, ok := r.shown[id]
		if !ok {
			if body, err = r.bodies("show", id); err != nil {
				return nil, err
			}
			r.shown[id] = body
		}
		list = append(list, keptBody{path, body})
	}
	return list, nil
}

// bodies runs examples/bodies on the file with the requests.
func (r *rig) bodies(args ...string) (stdout string, err error) {
	file := r.path("log/requests.jsonl")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	out, err := exec.Command(r.path("bodies"), append(args, file)...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, failed.Stderr)
	}
	return string(out), err
}
