package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"
)

// newLogger writes one line an event: for people with the time, and for journald,
// which knows the time, with the level in the form that makes it the entry's
// PRIORITY (sd-daemon(3)).
func newLogger(stderr io.Writer) *slog.Logger {
	if !isJournal(stderr) {
		return slog.New(slog.NewTextHandler(stderr, nil))
	}
	shared := &journalWriter{out: stderr}
	text := slog.NewTextHandler(&shared.line, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	return slog.New(journalHandler{text, shared})
}

// isJournal tells whether w is the stream that systemd connected to the journal:
// $JOURNAL_STREAM has its device and inode (systemd.exec(5)).
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journalWriter joins the priority and the line that slog made.
type journalWriter struct {
	mu   sync.Mutex
	line bytes.Buffer
	out  io.Writer
}

type journalHandler struct {
	slog.Handler
	shared *journalWriter
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	priority := 7
	switch {
	case r.Level >= slog.LevelError:
		priority = 3
	case r.Level >= slog.LevelWarn:
		priority = 4
	case r.Level >= slog.LevelInfo:
		priority = 6
	}
	h.shared.line.Reset()
	fmt.Fprintf(&h.shared.line, "<%d>", priority)
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.shared.out.Write(h.shared.line.Bytes())
	return err
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.shared}
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.shared}
}
