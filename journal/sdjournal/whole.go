package sdjournal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/sdjournal"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/journal"
)

// In a damaged index libsystemd leaves out entries, or the whole rest of a file,
// without a word, and what the index passes over leaves no numbers to tell by. So
// before the index is taken to, the way to the entries of the wanted values is gone in
// the file itself (https://systemd.io/JOURNAL_FILE_FORMAT/): from a field to its
// values, and to the arrays of their entries. That is not the way of libsystemd, which
// finds a value by its hash; so a value that one of the two has lost is noticed. The
// file is read, not mapped: what is damaged must not end in a SIGBUS. An object is held
// to what libsystemd holds it to (journal_file_check_object in systemd's
// journal-file.c).
//
// Also looked at are the heads of entries: where libsystemd seeks a place among them, it
// is led astray by one that is damaged. It does not seek in what lies ahead as a whole;
// there it drops the file when it comes to such an entry, which is noticed (index.go).

// wholeWithin bounds the time for one look at all files. Where they are not in
// memory, reading by the index would be slow, too.
const wholeWithin = 2 * time.Second

// isIndexWhole says whether the index has all that the first sieve wants in the files that
// may have entries after the position. Several processors share the files.
func (r *Reader) isIndexWhole(position place) bool {
	// libsystemd also seeks by the entries of the position's boot.
	wanted := append(slices.Clone(r.first()), journal.Test{Field: sd.SD_JOURNAL_FIELD_BOOT_ID, Op: journal.Equal, Text: position.boot})
	deadline := time.Now().Add(wholeWithin)
	looks, ctx := errgroup.WithContext(context.Background())
	looks.SetLimit(runtime.GOMAXPROCS(0))
	for _, dir := range r.dirs {
		if dir.file == nil {
			continue
		}
		files, err := journalFiles(dir.path, r.options.Directory != "")
		if err != nil {
			looks.Go(func() error { return err })
		}
		for _, path := range files {
			looks.Go(func() error {
				if ctx.Err() != nil || isWhole(path, position, wanted, deadline) {
					return nil
				}
				return errNotWhole
			})
		}
	}
	return looks.Wait() == nil
}

var errNotWhole = errors.New("the index is damaged")

// isWhole is isIndexWhole for one file.
//
// Of a file that was not closed it cannot be told: journald and
// systemd-journal-remote rename such a file to *.journal~ when they find it, after a
// crash of the machine mostly. What was not written of it is zeros, or as it was
// before. A scan passes over those, but where they are in an index, the rest of that
// index is gone.
func isWhole(path string, position place, wanted journal.Sieve, deadline time.Time) bool {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err == nil && st.Ctim.Nano()/1000 <= int64(position.realtime) {
		return true
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) { // a scan does not see it, either
		return true
	}
	if err != nil {
		return false
	}
	defer file.Close()
	return !strings.HasSuffix(path, "~") && wholeIndex(file, position, wanted, deadline)
}

// indexFile is a journal file whose index is looked at. Its methods are false where
// something is not as it should be.
type indexFile struct {
	fd       int
	size     uint64
	position place
	header   [256]byte
	item     uint64 // the size of an offset in an array
	payload  uint64 // where that of a data object begins
	array    []byte // a piece of one
	deadline time.Time
	reads    int
}

// The kinds of objects.
const (
	kindData       = 1
	kindField      = 2
	kindEntry      = 3
	kindEntryArray = 6
)

// wholeIndex says whether the file's index of what the tests want is known to be
// whole.
func wholeIndex(file *os.File, position place, wanted journal.Sieve, deadline time.Time) bool {
	info, err := file.Stat()
	if err != nil {
		return false
	}
	f := &indexFile{fd: int(file.Fd()), size: uint64(info.Size()), position: position, item: 8, payload: 64, deadline: deadline}
	if !f.read(f.header[:], 0) || string(f.header[:8]) != "LPKSHHRH" {
		return false
	}
	const compact, known = 1 << 4, 1<<5 - 1 // of the incompatible flags
	flags, header, arena := binary.LittleEndian.Uint32(f.header[12:]), u64(f.header[:], 88), u64(f.header[:], 96)
	if flags&compact != 0 {
		f.item, f.payload = 4, 72
	}
	return flags&^known == 0 && header >= 224 && header <= f.size && arena <= f.size-header && f.fields(wanted)
}

// fields goes through all fields, and the values of those that are wanted.
func (f *indexFile) fields(wanted journal.Sieve) bool {
	const longestName, largestTable = 64, 1 << 20
	at, size, count := u64(f.header[:], 120), u64(f.header[:], 128), u64(f.header[:], 216)
	if size > largestTable {
		return false
	}
	table := make([]byte, size)
	if !f.read(table, at) {
		return false
	}
	for bucket := range slices.Chunk(table, 16) {
		if len(bucket) < 16 {
			return false
		}
		for before, at := uint64(0), u64(bucket, 0); at != 0; count-- {
			var field [40 + longestName]byte
			length, ok := f.object(field[:], at, kindField, 40)
			if !ok || at <= before || length > uint64(len(field)) || count == 0 {
				return false
			}
			name := string(field[40:length])
			values := slices.DeleteFunc(slices.Clone(wanted), func(t journal.Test) bool { return t.Field != name })
			if len(values) > 0 && !f.values(u64(field[:], 32), values) {
				return false
			}
			before, at = at, u64(field[:], 24)
		}
	}
	return count == 0
}

// values goes through all values of a field, of which the newest is there, and the
// entries of those that are wanted.
func (f *indexFile) values(at uint64, wanted journal.Sieve) bool {
	texts := make(map[string]bool)
	longest := uint64(0)
	for _, t := range wanted {
		text := t.Field + "=" + t.Text
		texts[text] = true
		longest = max(longest, uint64(len(text)))
	}
	value := make([]byte, f.payload+longest)
	for before := f.size; at != 0; before, at = at, u64(value, 32) {
		length, ok := f.object(value, at, kindData, f.payload+1)
		if !ok || at >= before {
			return false
		}
		if length > uint64(len(value)) {
			continue
		}
		if compressed := value[1] != 0; compressed { // it may be one of those wanted
			return false
		}
		if texts[string(value[f.payload:length])] && !f.value(at, value) {
			return false
		}
	}
	return true
}

// value goes through all entries of a value, and says whether they are as many as
// it says, and the value is where it is looked for.
func (f *indexFile) value(at uint64, value []byte) bool {
	first, ok := f.entry(u64(value, 40))
	if !ok || !f.hashed(at, u64(value, 16)) {
		return false
	}
	last, ok := f.arrays(at, value, false)
	if !ok {
		return false
	}
	// libsystemd seeks where some are before the position, and some behind it.
	before, behind := first <= f.position.seqnum, last > f.position.seqnum
	seeks := before && behind || !f.numberedBy(f.position.source)
	if seeks && !bytes.HasPrefix(value[f.payload:], []byte(sd.SD_JOURNAL_FIELD_BOOT_ID+"=")) {
		_, ok = f.arrays(at, value, true)
	}
	return ok
}

// arrays goes through the arrays of a value's entries, and with heads also looks at each
// of these. It returns the number of the last one.
func (f *indexFile) arrays(at uint64, value []byte, heads bool) (number uint64, ok bool) {
	last, count := u64(value, 40), uint64(1)
	for before, array := uint64(0), u64(value, 48); array != 0; {
		var b [24]byte
		length, ok := f.object(b[:], array, kindEntryArray, 24)
		if !ok || array <= before || !f.entries(array+24, length-24, heads, &last, &count) {
			return 0, false
		}
		before, array = array, u64(b[:], 16)
	}
	number, ok = f.entry(last)
	// journald writes where an entry is, and then counts it.
	var now [64]byte
	_, there := f.object(now[:], at, kindData, 64)
	return number, ok && there && u64(value, 56) <= count && count <= u64(now[:], 56)+1
}

// entries goes through the entries in an array, up to where it is not in use yet, and
// counts them. last is the one before. An old journald lists an entry twice that
// repeats a value. Without heads only the first and the last one are looked at.
func (f *indexFile) entries(at, length uint64, heads bool, last, count *uint64) bool {
	const most = 16 << 10
	f.array = slices.Grow(f.array[:0], most)
	first := true
	for end := at + length/f.item*f.item; at < end; at += uint64(len(f.array)) {
		f.array = f.array[:min(end-at, most)]
		if !f.read(f.array, at) {
			return false
		}
		for i := 0; i < len(f.array); i += int(f.item) {
			entry := uint64(binary.LittleEndian.Uint32(f.array[i:]))
			if f.item == 8 {
				entry = u64(f.array, i)
			}
			if entry == 0 {
				return first || f.isEntry(*last)
			}
			if entry < *last || (first || heads) && !f.isEntry(entry) {
				return false
			}
			*last, first = entry, false
			*count++
		}
	}
	return first || f.isEntry(*last)
}

// numberedBy says whether the file's entries have their numbers from there.
func (f *indexFile) numberedBy(source string) bool {
	return hex.EncodeToString(f.header[72:88]) == source
}

func (f *indexFile) isEntry(at uint64) bool {
	_, ok := f.entry(at)
	return ok
}

// entry looks at the head of an entry, and returns its number.
func (f *indexFile) entry(at uint64) (number uint64, ok bool) {
	const never = 1 << 55 // in microseconds
	item := uint64(16)
	if f.item == 4 {
		item = 4
	}
	var b [64]byte
	length, ok := f.object(b[:], at, kindEntry, 64+item)
	number, realtime, monotonic := u64(b[:], 16), u64(b[:], 24), u64(b[:], 32)
	return number, ok && number > 0 && (length-64)%item == 0 && realtime > 0 && realtime < never && monotonic < never
}

// hashed says whether the value there is found by its hash.
func (f *indexFile) hashed(value, hash uint64) bool {
	table, size := u64(f.header[:], 104), u64(f.header[:], 112)
	if size < 16 || table > f.size || size > f.size-table {
		return false
	}
	var b [16]byte
	if !f.read(b[:], table+hash%(size/16)*16) {
		return false
	}
	for before, at := uint64(0), u64(b[:], 0); at != value; {
		var other [64]byte
		if _, ok := f.object(other[:], at, kindData, f.payload+1); !ok || at <= before {
			return false
		}
		before, at = at, u64(other[:], 24)
	}
	return true
}

// object reads as much of the object there as b takes, and returns its length.
func (f *indexFile) object(b []byte, at uint64, kind byte, least uint64) (length uint64, ok bool) {
	if at%8 != 0 || at < u64(f.header[:], 88) || at >= f.size || !f.read(b, at) {
		return 0, false
	}
	const compressions = 7
	flags := b[1]
	length = u64(b, 8)
	switch {
	case b[0] != kind, length < least, length > f.size-at, flags&^compressions != 0, bits.OnesCount8(flags) > 1, flags != 0 && kind != kindData:
		return 0, false
	case kind == kindData && (u64(b, 40) == 0) != (u64(b, 56) == 0): // its first entry, and how many there are
		return 0, false
	}
	return length, true
}

// read fills b, beyond the file's end with zeros.
func (f *indexFile) read(b []byte, at uint64) bool {
	if f.reads++; f.reads%256 == 0 && time.Now().After(f.deadline) {
		return false
	}
	for done := 0; done < len(b); {
		n, err := unix.Pread(f.fd, b[done:], int64(at)+int64(done)) // File.ReadAt has its price, at so many
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			clear(b[done:])
		}
		if n <= 0 {
			return err == nil
		}
		done += n
	}
	return true
}

func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
