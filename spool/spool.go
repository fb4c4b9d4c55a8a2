// Package spool keeps, in one bbolt file, all that must not be forgotten: how
// far each journal has been read, the deliveries that wait for their action,
// and the dead letters.
//
// The guarantee of the whole program is one transaction here. Append stores
// the position up to which the journal was read together with the deliveries
// that the reading produced, so that a position always means: everything up to
// here is decided, or is in a queue. Settle takes deliveries out of a queue,
// or puts off the next try, in one transaction too.
//
// The file holds:
//
//	meta       version; the invocations of the program's unit; how many dead letters
//	           each action has, and how many the limit has removed (JSON)
//	positions  source -> cursor, or journal.Head
//	blocks     number -> bucket: the entries of one Append, each stored once,
//	           however many queues they are in
//	queues     action -> bucket: block's number -> which of its entries, by which rule
//	states     action -> where the queue's head is, its size, its retries (JSON)
//	dead       time of burial and id -> letter
//	memories   action -> bucket: what the action remembers
//
// Block numbers only grow, so the order of the keys is the order of the entries.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// File is the name of the spool in the state directory, beside which there is
// the file that keeps room for emptying it.
const (
	File        = "spool.db"
	reserveFile = "spool.reserve"
)

// version is that of the file's layout. A file of another version is refused.
const version = "1"

var (
	// ErrLocked means that another process has the spool open.
	ErrLocked = errors.New("in use by another journald-router")
	// ErrCorrupt means that the file is no spool, or a damaged one. It is left
	// as it is.
	ErrCorrupt = errors.New("not a sound spool")
	// ErrVersion means that another release of the program wrote the file.
	ErrVersion = errors.New("written by another release")
)

var (
	bucketMeta      = []byte("meta")
	bucketPositions = []byte("positions")
	bucketBlocks    = []byte("blocks")
	bucketQueues    = []byte("queues")
	bucketStates    = []byte("states")
	bucketDead      = []byte("dead")
	bucketMemories  = []byte("memories") // made with the first one

	allBuckets = [][]byte{bucketMeta, bucketPositions, bucketBlocks, bucketQueues, bucketStates, bucketDead}

	keyVersion     = []byte("version")
	keyInvocations = []byte("invocations")
	keyLetters     = []byte("letters")
)

// A Spool is an open spool file. Its methods may be called by any goroutine.
type Spool struct {
	path    string
	reserve reserve
	limits  limits
	at      func(step string) // of a compaction; nil but in tests

	// write is held through each changing transaction: bbolt has one writer
	// anyway, and what is in memory must change in the same order.
	write   sync.Mutex
	buffers buffers               // guarded by write
	staged  map[*Queue]queueState // guarded by write: what the transaction under way has changed
	changed chan struct{}         // receives a value when a transaction has changed something
	// unsynced says that the last transaction is in the file, but may not be on the
	// disk. It changes with write held.
	unsynced atomic.Bool

	// db changes with both write and swap held, so that either is enough to use it.
	db   *bolt.DB
	swap sync.RWMutex

	mu      sync.Mutex // guards what follows, and every Queue's fields
	waiting []*part    // for the next transaction
	queues  map[string]*Queue
	recent  recentBlocks
	freed   chan struct{} // closed, and made anew, when a queue got smaller
	limit   LetterLimit
	// letters has the counts in the file, by action. The map itself is never
	// changed, but replaced.
	letters map[string]LetterCount
}

// Open opens the spool in the state directory, and makes a new one where there
// is none. The error is ErrLocked, ErrCorrupt or ErrVersion where one of these is
// the cause; a damaged file is never replaced.
func Open(dir string) (*Spool, error) {
	path := filepath.Join(dir, File)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: make state directory: %w", withHint(err))
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("open spool: %w", withHint(err))
		}
	}
	return OpenExisting(dir)
}

// OpenExisting is Open for one who only wants to look: it makes nothing.
func OpenExisting(dir string) (*Spool, error) {
	s, err := open(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open spool: %w (either the daemon has never run, or it has another state directory: that of state: in its configuration, or of $STATE_DIRECTORY)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", withHint(err))
	}
	return s, nil
}

// withHint says what to do about a permission that is missing.
func withHint(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (run this as root or as the daemon's user, or name a directory of yours with state: or $STATE_DIRECTORY)", err)
}

// create makes an empty spool under another name first, so that a file of the
// right name is always a whole one: bbolt takes an empty file for a new one, and
// would hide the loss of a spool that something truncated.
func create(path string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), File+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	temp.Close()
	db, err := bolt.Open(temp.Name(), 0o600, &bolt.Options{NoSync: true}) // once, at the end, is enough
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range allBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		if err := storeCounts(tx, map[string]LetterCount{}); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keyVersion, []byte(version))
	})
	if err == nil {
		err = db.Sync()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Link, not rename: of two routers that start at once, one makes the spool.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func open(path string) (s *Spool, err error) {
	corrupt := func(cause any) error {
		return fmt.Errorf("%s: %w: %v (nothing was changed; to begin with an empty spool, at the end of the journal, move the file away)", path, ErrCorrupt, cause)
	}
	// bbolt maps the file: what a damaged page provokes is a panic, or a fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, corrupt(p)
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, corrupt("an empty file, or no file at all")
	}
	// Where it is a link, a compaction makes the new file beside what it links to.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	db, err := openLocked(path)
	var system syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w (stop it, or give each a state directory of its own)", path, ErrLocked)
	case errors.As(err, &system):
		return nil, err // the file itself may be sound
	case err != nil:
		return nil, corrupt(err)
	}
	s = &Spool{
		db: db, path: path, limits: defaultLimits, changed: make(chan struct{}, 1),
		queues: make(map[string]*Queue), freed: make(chan struct{}),
	}
	s.reserve.path = filepath.Join(filepath.Dir(path), reserveFile)
	err = s.load()
	if err != nil {
		db.Close()
	}
	switch {
	case errors.Is(err, ErrVersion):
		return nil, fmt.Errorf("%s: %w", path, err)
	case err != nil:
		return nil, corrupt(err)
	}
	s.removeLeftovers()
	return s, nil
}

// openLocked opens the file of that name, and holds its lock. The lock is the
// file's, not the name's: who has waited for it while a compaction put a new file in
// place has that of the old one, which nobody else will ever see.
func openLocked(path string) (*bolt.DB, error) {
	for {
		var file *os.File
		db, err := bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      200 * time.Millisecond,
			FreelistType: bolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		if err != nil {
			return nil, err
		}
		have, err := file.Stat()
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		named, err := os.Stat(path)
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		if os.SameFile(have, named) {
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
}

// load checks the version and reads the state of every queue, and the counts of
// the dead letters. The blocks and the letters stay where they are.
func (s *Spool) load() error {
	err := s.view(func(tx *bolt.Tx) error {
		if have, need := s.fileSize(), tx.Size(); have < need {
			return fmt.Errorf("it has %d bytes of %d", have, need)
		}
		for _, name := range allBuckets {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("bucket %q is missing", name)
			}
		}
		if v := tx.Bucket(bucketMeta).Get(keyVersion); string(v) != version {
			return fmt.Errorf("%w: it has layout %q, this program knows layout %q (run the release that wrote it until its queues are empty; then move the file away)", ErrVersion, v, version)
		}
		err := tx.Bucket(bucketStates).ForEach(func(action, value []byte) error {
			q := newQueue(s, string(action))
			if err := json.Unmarshal(value, &q.state); err != nil {
				return fmt.Errorf("state of queue %q: %w", action, err)
			}
			s.queues[q.action] = q
			return nil
		})
		if err != nil {
			return err
		}
		return s.loadMemories(tx)
	})
	if err != nil {
		return err
	}
	return s.loadLetterCounts()
}

func (s *Spool) fileSize() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close releases the file. No other method may be called during or after it.
func (s *Spool) Close() error {
	s.reserve.close()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close spool: %w", err)
	}
	return nil
}

// Position returns where the reading of a source is to go on: a cursor,
// journal.Head, or "" if the source was never read.
func (s *Spool) Position(source string) (position string, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		position = string(tx.Bucket(bucketPositions).Get([]byte(source)))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read position of %s from spool: %w", source, err)
	}
	return position, nil
}

// Invocations returns the ids of the last runs of the program under systemd,
// the given one included, which is remembered. What these logged is the
// program's own.
func (s *Spool) Invocations(current string) (ids []string, err error) {
	const remembered = 64
	// Without it the program does not start, and what is queued is not delivered.
	err = s.updateFreeing("remember invocation", func(tx *bolt.Tx) (func(), error) {
		meta := tx.Bucket(bucketMeta)
		ids = nil
		if stored := meta.Get(keyInvocations); stored != nil {
			if err := json.Unmarshal(stored, &ids); err != nil {
				return nil, err
			}
		}
		if slices.Contains(ids, current) {
			return nil, nil
		}
		ids = append(ids, current)
		ids = ids[max(0, len(ids)-remembered):]
		value, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		return nil, meta.Put(keyInvocations, value)
	})
	return ids, err
}
