// The reader's inner loop. Go calls it once an entry, so that an entry costs one
// crossing from Go to C however many of its fields are wanted.

#ifndef READER_H
#define READER_H

#include "sieve.h"

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-journal.h>

struct buffer {
	char *data;
	size_t len, cap;
};

struct reader {
	sd_journal *journal; // Go opens and closes it; NULL: it could not be opened anew, and all calls are -EBADF

	// The entry that next returned last.
	uint64_t realtime;  // microseconds since the epoch
	struct buffer kept; // values of the wanted fields: uint32 index of the field, uint32 length, bytes
	char *cursor;       // or the position before the first next; NULL: ask the journal, it still stands there
	char *known;        // the last cursor before that, to come back to when the journal has forgotten where it stands
	int lost;           // it has, and cursor is the one known,
	uint64_t behind;    // which is that of the entry so many back

	int astray;   // the journal may stand anywhere
	int moved;    // the journal stands on the entry that next is to return
	char *before; // the cursor when files came or went, until Go has looked for a gap after it,
	uint64_t before_behind; // or that of the entry so many before it

	struct buffer record; // the last entry that was packed
	int packed;           // it is the one of next
	int recorded;         // reader_record was called for the entry of next

	uint64_t last; // realtime of the entry that Go wants to see in any case; 0: none

	// Since Go has last set them to 0: entries gone through; those among them that
	// were passed over, as they could not be read; values that were cut.
	uint64_t walked, damaged, cut;
	unsigned cut_here; // of them in this entry

	size_t limit;  // of a value, in bytes
	char mark[96]; // what stands behind one that was longer
	size_t mark_len;

	struct name *names; // of the wanted fields
	size_t n_names;
	char *names_text;
	struct name *starting[256]; // lists of them, by a hash of the first two bytes
	int sieves;  // how many there are, of tests on some of them
	int orphans; // only entries that bear no machine id are wanted

	uint64_t left;           // entries to go through before next does nothing
	struct buffer collected; // by reader_collect

	int indexed; // the journal itself passes over what the first sieve holds back
	// Since Go has set these to 0: entries gone through, those among them that the first
	// sieve or the index has let through, and those that were returned.
	uint64_t scanned, passed, wanted;

	// CLOCK_MONOTONIC, in microseconds, of the last sd_journal_process, and of the
	// last entry that wait has found.
	uint64_t processed, found;
	unsigned calls; // of next, to look at the clock only now and then
	unsigned changes; // how often files came or went
};

// Every int below is negative for an error: the negated errno.

// reader_load finds libsystemd. It returns NULL, or what is wrong.
const char *reader_load(void);

// reader_open_namespace opens a journal namespace, as sdjournal cannot. It is
// -ENOSYS in a libsystemd older than 245.
int reader_open_namespace(sd_journal **ret, const char *name);

// reader_new also has the journal watch its directories, so that no file that
// comes after it is missed. limit is the length to which it cuts values. It
// returns NULL and sets *error.
struct reader *reader_new(sd_journal *journal, size_t limit, int *error);
int reader_use(struct reader *r, sd_journal *journal); // another handle of the same journal
void reader_free(struct reader *r);

// reader_keep says which fields next is to copy: n names with a NUL between them.
int reader_keep(struct reader *r, const char *names, size_t len, size_t n);

// reader_stand declares where the reader stands: after cursor. moved says that
// the journal is already on the entry after it, vacuumed that the entry at the
// cursor itself is gone.
int reader_stand(struct reader *r, const char *cursor, int moved, int vacuumed);

// reader_sieve adds a test, on a field of those kept, to a sieve: each of the sieves must
// let an entry through. The first one comes first.
enum { SIEVES = 2 };
int reader_sieve(struct reader *r, int sieve, size_t field, int op, const char *text, size_t len);

enum {
	READER_ENTRY = 1, // an entry
	READER_LOOK,      // one that the sieve holds back, but that Go wants to see
	READER_PASSED,    // the sieve has held back some, some could not be read, or files came or went
	READER_STUCK,     // this handle can go no further: libsystemd fails each time
};
int reader_next(struct reader *r);    // 0: there is none yet
int reader_cursor(struct reader *r);  // fills cursor
int reader_claim(struct reader *r, char *cursor); // which it takes over: the reader stands there, wherever the journal does
int reader_record(struct reader *r);  // fills record
int reader_process(struct reader *r); // lets go of deleted files, finds new ones
int reader_process_when_due(struct reader *r); // the same, twenty times a second at most

// reader_collect goes through so many entries, or fewer where there are no more, where
// something is amiss, or where collected has no room left. There the entries are that
// the sieve lets through: realtime, and after its length each, kept and record. It
// returns what the last reader_next has.
int reader_collect(struct reader *r, uint64_t entries, size_t room);

// reader_wait returns the number of the first of the readers, counted from 1, that
// has a next entry, as soon as one has; or 0 after the time, or when *stop is no
// longer zero.
int reader_wait(struct reader **readers, size_t n, unsigned milliseconds, const int32_t *stop);

#endif
