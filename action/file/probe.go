package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Probe implements action.Prober: may the user that the program runs as append to the
// file, or make it in its directory?
func (a *Action) Probe(context.Context) error {
	info, err := os.Stat(a.path)
	switch {
	case os.IsNotExist(err):
		err = mayWrite(filepath.Dir(a.path), unix.W_OK|unix.X_OK)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("look at file: %s is not a regular file", a.path)
	case err == nil:
		err = mayWrite(a.path, unix.R_OK|unix.W_OK)
	}
	if err != nil {
		return withHint(fmt.Errorf("look at file: %w", err), a.path)
	}
	return nil
}

func mayWrite(path string, mode uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
		return &os.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}
