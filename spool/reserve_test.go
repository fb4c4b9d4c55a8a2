package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestReserveAfterRestart: the reserve that an earlier run has left serves before
// anything is appended: on a full disk nothing may ever be.
func TestReserveAfterRestart(t *testing.T) {
	disk, file := smallDisk(t, 12), dense(t)
	for _, c := range writings {
		if !c.takesOut {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			os.Remove(filepath.Join(disk, reserveFile))
			if err := os.WriteFile(filepath.Join(disk, File), file, 0o600); err != nil {
				t.Fatal(err)
			}
			s := openSpool(t, disk)
			if err := errors.Join(s.reserve.hold(), s.Close()); err != nil {
				t.Fatal(err)
			}
			s = openSpool(t, disk)
			do, release, free := c.ready(t, s), pin(t, s), fill(t, disk, 0)
			err := do()
			release()
			free()
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}
