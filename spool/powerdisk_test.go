//go:build torture

package spool

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sector is what a disk writes whole or not at all, in bytes.
const sector = 512

// A powerDisk is one directory as a disk may hold it: what was synced is there;
// of all else each write may be, or not, or some of its sectors.
type powerDisk struct {
	dir   string
	files map[int]*diskFile    // by descriptor; nil is the directory itself
	names map[string]*diskFile // as the program sees them

	durable map[string]*diskFile
	renames []rename // that are not synced, in order
}

type diskFile struct {
	synced  []byte
	pending []change
}

// A change is a write, or without data a new size.
type change struct {
	at   int64
	data []byte
}

// A rename gives a file a name, or takes one away.
type rename struct {
	from, to string // "" for none
	file     *diskFile
}

func newPowerDisk(dir string) *powerDisk {
	return &powerDisk{dir: dir, files: make(map[int]*diskFile), names: make(map[string]*diskFile), durable: make(map[string]*diskFile)}
}

// name is that of a file in the directory.
func (d *powerDisk) name(path string) (string, bool) {
	name, ok := strings.CutPrefix(path, d.dir+"/")
	// What is reserved is of no account here.
	return name, ok && name != reserveFile
}

// do carries out a call, and tells whether it was one on this disk.
func (d *powerDisk) do(c call) bool {
	switch c.name {
	case "openat":
		return d.open(c)
	case "rename":
		return d.rename(c.args[0], c.args[1])
	case "renameat", "renameat2":
		return d.rename(c.args[1], c.args[3])
	case "linkat":
		return d.link(c.args[1], c.args[3])
	case "unlinkat":
		return d.rename(c.args[1], "")
	}
	fd := int(c.int(0))
	file, ok := d.files[fd]
	if !ok {
		return false
	}
	switch c.name {
	case "close":
		delete(d.files, fd)
	case "fsync", "fdatasync":
		d.sync(file)
	case "pwrite64":
		file.pending = append(file.pending, change{c.int(3), []byte(c.args[1][:c.result])})
	case "ftruncate":
		file.pending = append(file.pending, change{at: c.int(1)})
	default:
		panic("the spool does " + c.name)
	}
	return true
}

func (d *powerDisk) open(c call) bool {
	if c.args[1] == d.dir {
		d.files[c.result] = nil
		return false
	}
	name, ok := d.name(c.args[1])
	if !ok {
		return false
	}
	file := d.names[name]
	if file == nil {
		file = new(diskFile)
		d.names[name] = file
		d.renames = append(d.renames, rename{"", name, file})
	}
	d.files[c.result] = file
	return true
}

func (d *powerDisk) link(from, to string) bool {
	from, ok := d.name(from)
	if !ok {
		return false
	}
	to, _ = d.name(to)
	d.names[to] = d.names[from]
	d.renames = append(d.renames, rename{"", to, d.names[to]})
	return true
}

func (d *powerDisk) rename(from, to string) bool {
	from, ok := d.name(from)
	if !ok {
		return false
	}
	file := d.names[from]
	delete(d.names, from)
	if to != "" {
		to, _ = d.name(to)
		d.names[to] = file
	}
	d.renames = append(d.renames, rename{from, to, file})
	return true
}

// sync makes a file durable, or with none the names.
func (d *powerDisk) sync(file *diskFile) {
	if file != nil {
		for _, c := range file.pending {
			file.synced = c.apply(file.synced)
		}
		file.pending = nil
		return
	}
	for _, r := range d.renames {
		r.apply(d.durable)
	}
	d.renames = nil
}

func (r rename) apply(names map[string]*diskFile) {
	delete(names, r.from)
	if r.to != "" {
		names[r.to] = r.file
	}
}

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		return resize(b, int(c.at))
	}
	b = resize(b, max(len(b), int(c.at)+len(c.data)))
	copy(b[c.at:], c.data)
	return b
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// cut writes what the disk may hold after a power cut now into an empty directory,
// and returns how many writes were not synced, and how many of them are lost, or
// whole no more. The names change in order, as every journaling file system has it.
func (d *powerDisk) cut(t *testing.T, random *rand.Rand, dir string) (unsynced, lost int) {
	t.Helper()
	names := maps.Clone(d.durable)
	for _, r := range d.renames[:random.IntN(len(d.renames)+1)] {
		r.apply(names)
	}
	keep := random.Float64()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		file := names[name]
		content := bytes.Clone(file.synced)
		for _, c := range file.pending {
			unsynced++
			if random.Float64() < keep {
				content = c.apply(content)
				continue
			}
			lost++
			for _, part := range c.torn(random) {
				content = part.apply(content)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return unsynced, lost
}

// torn is what there may be of a write that was lost: nothing, its beginning, or any of
// its sectors.
func (c change) torn(random *rand.Rand) (parts []change) {
	kind, sectors := random.IntN(3), len(c.data)/sector
	if kind == 0 || sectors == 0 {
		return nil
	}
	if kind == 1 {
		return []change{{c.at, c.data[:sector*random.IntN(sectors)]}}
	}
	for at := range sectors {
		if random.IntN(2) == 0 {
			parts = append(parts, change{c.at + int64(at)*sector, c.data[at*sector : (at+1)*sector]})
		}
	}
	return parts
}
