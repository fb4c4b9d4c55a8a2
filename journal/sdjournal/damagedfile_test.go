package sdjournal_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// journalFile is a journal file to be damaged
// (https://systemd.io/JOURNAL_FILE_FORMAT/).
type journalFile struct {
	t       *testing.T
	path    string
	data    []byte
	payload int // where it begins in a data object
	objects []object
}

type object struct {
	kind       byte
	at, length int
}

const (
	objectData  = 1
	objectEntry = 3
)

func readJournalFile(t *testing.T, path string) *journalFile {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &journalFile{t: t, path: path, data: data, payload: 64}
	if compact := data[12]&16 != 0; compact {
		f.payload = 72
	}
	for at, last := f.u64(88), f.u64(136); at <= last; {
		o := object{data[at], at, f.u64(at + 8)}
		f.objects = append(f.objects, o)
		at += (o.length + 7) &^ 7
	}
	return f
}

// fileWith returns the journal file in the directory that has this message.
func fileWith(t *testing.T, dir, message string) *journalFile {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if f := readJournalFile(t, path); f.message(message).length > 0 {
			return f
		}
	}
	t.Fatalf("%s: no file has %q", dir, message)
	return nil
}

func (f *journalFile) u64(at int) int { return int(binary.LittleEndian.Uint64(f.data[at:])) }

// of returns the objects of that kind.
func (f *journalFile) of(kind byte) (all []object) {
	for _, o := range f.objects {
		if o.kind == kind {
			all = append(all, o)
		}
	}
	return all
}

// message returns the data object of the message.
func (f *journalFile) message(text string) object { return f.value("MESSAGE=" + text) }

// value returns the data object of a field's value.
func (f *journalFile) value(text string) object {
	for _, o := range f.of(objectData) {
		if bytes.Equal(f.data[o.at+f.payload:o.at+o.length], []byte(text)) {
			return o
		}
	}
	return object{}
}

// bucket returns where the hash table has the value.
func (f *journalFile) bucket(value object) int {
	const item = 16
	n := uint64(f.u64(112) / item)
	return f.u64(104) + int(binary.LittleEndian.Uint64(f.data[value.at+16:])%n)*item
}

// entry returns the first entry that has the message.
func (f *journalFile) entry(message string) object {
	at := f.u64(f.message(message).at + 40)
	return object{f.data[at], at, f.u64(at + 8)}
}

// arrays returns where the arrays of the offsets of all entries begin.
func (f *journalFile) arrays() []int { return f.chain(176) }

// arraysOf returns where those of the entries of a value begin.
func (f *journalFile) arraysOf(value object) []int { return f.chain(value.at + 48) }

func (f *journalFile) chain(from int) (chain []int) {
	for at := f.u64(from); at != 0; at = f.u64(at + 16) {
		chain = append(chain, at)
	}
	return chain
}

// item returns where the entry is that an array has there; before 0, from its end.
func (f *journalFile) item(array, i int) int {
	size := 8
	if f.payload == 72 {
		size = 4
	}
	if n := (f.u64(array+8) - 24) / size; i < 0 {
		i += n
	}
	at := array + 24 + i*size
	if size == 4 {
		return int(binary.LittleEndian.Uint32(f.data[at:]))
	}
	return f.u64(at)
}

// write overwrites bytes of the file where it is, as a disk does.
func (f *journalFile) write(at int, b ...byte) {
	f.t.Helper()
	w, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if err == nil {
		_, err = w.WriteAt(b, int64(at))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		f.t.Fatal(err)
	}
}
