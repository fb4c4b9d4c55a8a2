package s3_test

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/journald-router/journald-router/action/s3/s3test"
)

// memory is a service that keeps objects in memory, for tests that count what is in
// them, and that decide over each upload.
type memory struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string][]string // the ids of the entries, by the key
	late    []func()            // uploads that are carried out when the test says so
	// decide says what becomes of an upload; nil: it is accepted.
	decide func(key string) fate
}

// A fate is what becomes of an upload.
type fate int

const (
	accepted  fate = iota
	refused        // temporarily
	forbidden      // for good
	lost           // accepted, and the answer is lost
	delayed        // there is no answer, and later it is carried out
)

func newMemory(t *testing.T) *memory {
	m := &memory{objects: make(map[string][]string)}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	plain, err := s3test.Decompress(body, r.Header.Get("Content-Encoding"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(r.RequestURI, "/"), "/")
	key, err := url.PathUnescape(path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var ids []string
	for line := range strings.Lines(string(plain)) {
		_, id, _ := strings.Cut(line, `"__CURSOR":"s=1;i=`)
		id, _, _ = strings.Cut(id, `"`)
		ids = append(ids, id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("ETag", `"1"`)
	f := accepted
	if m.decide != nil {
		f = m.decide(key)
	}
	switch f {
	case refused:
		answer(w, http.StatusServiceUnavailable, "SlowDown", "slow down")
	case forbidden:
		answer(w, http.StatusForbidden, "AccessDenied", "access denied")
	case lost:
		m.objects[key] = ids
		panic(http.ErrAbortHandler)
	case delayed:
		m.late = append(m.late, func() { m.objects[key] = ids })
		panic(http.ErrAbortHandler)
	default:
		m.objects[key] = ids
	}
}

func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// entries counts in how many objects each entry is.
func (m *memory) entries() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := make(map[string]int)
	for _, ids := range m.objects {
		for _, id := range ids {
			count[id]++
		}
	}
	return count
}

// contents are the ids in each object.
func (m *memory) contents() map[string][]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.objects)
}

// carryOut carries out what is late, in some order.
func (m *memory) carryOut(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	random.Shuffle(len(m.late), func(i, j int) { m.late[i], m.late[j] = m.late[j], m.late[i] })
	for _, one := range m.late {
		one()
	}
	m.late = nil
}
