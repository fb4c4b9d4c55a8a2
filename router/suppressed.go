package router

import (
	"bytes"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/rules"
)

// suppressedID is the MESSAGE_ID of what journald logs when it did not take
// messages of a service: SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h. Such an
// entry is made with the next message that it does take from the service, and
// says of which and how many:
//
//	_TRANSPORT=driver
//	MESSAGE=Suppressed 82 messages from shop.service
//	N_DROPPED=82                       since systemd 235
//
// They might have matched, so whatever the rules are, they are counted.
const suppressedID = "a596d6fe7bfa4994828e72309e95d61e"

// wanted is what the reader is to keep and to let through: what the rules need,
// and suppressedID.
func wanted(set *rules.Set) (fields []string, sieves []journal.Sieve) {
	fields, sieves = slices.Clone(set.Fields()), set.Sieves()
	if !slices.Contains(fields, journal.FieldMessageID) {
		fields = append(fields, journal.FieldMessageID)
	}
	for i := range sieves {
		sieves[i] = append(sieves[i], journal.Test{Field: journal.FieldMessageID, Op: journal.Equal, Text: suppressedID})
	}
	return fields, sieves
}

// suppression tells of which unit journald has not taken how many messages, if
// the entry is about that. Anybody can log a MESSAGE_ID; the transport is
// journald's own word (systemd.journal-fields(7)).
func suppression(r journal.Record) (unit string, n uint64) {
	if transport, _ := r.Get(journal.FieldTransport); string(transport) != "driver" {
		return "", 0
	}
	message, _ := r.Get(journal.FieldMessage)
	text, _ := strings.CutPrefix(string(message), "Suppressed ")
	number, unit, _ := strings.Cut(text, " messages from ")
	if dropped, ok := r.Get("N_DROPPED"); ok {
		number = string(dropped)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return "", 0
	}
	return unit, n
}

// lookForSuppression counts the entry if it is about messages that journald did
// not take.
func (s *stream) lookForSuppression(e journal.Entry) {
	s.values = e.Values(s.values[:0], journal.FieldMessageID)
	if !slices.ContainsFunc(s.values, func(id []byte) bool { return bytes.Equal(id, []byte(suppressedID)) }) {
		return
	}
	record, err := e.Record()
	if err != nil {
		return // a damaged one: whoever wants it next says so
	}
	if unit, n := suppression(record); n > 0 {
		s.suppressed.warn(s.figures.suppress(unit, n), n)
	}
}

// suppress counts the messages, and returns the name that they are counted under.
func (f *figures) suppress(unit string, n uint64) string {
	const most, others = 100, "others"
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &f.sums.Suppressed
	if _, known := s.Units[unit]; !known && len(s.Units) >= most {
		unit = others
	}
	s.Messages += n
	s.Units[unit] += n
	return unit
}

// suppressed warns of each unit at most once a minute.
type suppressed struct {
	log  *slog.Logger
	mu   sync.Mutex
	held map[string]uint64 // not warned of yet, by units warned of within the last minute
}

func newSuppressed(log *slog.Logger) *suppressed {
	return &suppressed{log: log, held: make(map[string]uint64)}
}

func (s *suppressed) warn(unit string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, lately := s.held[unit]; lately {
		s.held[unit] += n
		return
	}
	s.say(unit, n)
}

// say warns, and once more in a minute if there is reason to by then.
func (s *suppressed) say(unit string, n uint64) {
	s.log.Warn("journald has dropped messages of a unit that logs too much at once; RateLimitBurst= in journald.conf, or LogRateLimitBurst= in the unit, is its limit",
		"unit", unit, "messages", n)
	s.held[unit] = 0
	time.AfterFunc(time.Minute, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		n := s.held[unit]
		delete(s.held, unit)
		if n > 0 {
			s.say(unit, n)
		}
	})
}

// flush warns of what is held back, at the end.
func (s *suppressed) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for unit, n := range s.held {
		if n > 0 {
			s.say(unit, n)
		}
	}
}
