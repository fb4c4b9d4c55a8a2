#define _GNU_SOURCE
#include "fields.h"
#include "libsystemd.h"
#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reader *reader_new(sd_journal *journal, size_t limit, int *error) {
	struct reader *r = calloc(1, sizeof *r);
	if (!r) {
		*error = -ENOMEM;
		return NULL;
	}
	r->limit = limit;
	r->left = UINT64_MAX;
	r->mark_len = snprintf(r->mark, sizeof r->mark, "\xE2\x80\xA6 [cut by journald-router: longer than %zu bytes]", limit);
	*error = reader_use(r, journal);
	if (*error < 0) {
		free(r);
		return NULL;
	}
	return r;
}

int reader_use(struct reader *r, sd_journal *journal) {
	// Beyond its threshold libsystemd cuts values short without a word, where it
	// decompresses them, and the name counts: it must not cut those of the limit.
	int e = sd.set_data_threshold(journal, r->limit + LONGEST_NAME + 2);
	// The first wait sets up the watch, drops files deleted before it, and
	// returns at once. Without it process does nothing (sd_journal_get_fd(3)).
	if (e >= 0)
		e = sd.wait(journal, 0);
	if (e < 0)
		return e;
	r->journal = journal;
	r->moved = r->astray = 0;
	return 0;
}

void reader_free(struct reader *r) {
	free(r->kept.data);
	free(r->record.data);
	free(r->collected.data);
	free(r->cursor);
	free(r->known);
	free(r->before);
	fields_free(r);
	free(r);
}

int reader_stand(struct reader *r, const char *cursor, int moved, int vacuumed) {
	free(r->cursor);
	free(r->before);
	r->before = NULL;
	r->before_behind = 0;
	r->moved = moved;
	r->cursor = strdup(cursor);
	if (vacuumed)
		r->before = strdup(cursor);
	return r->cursor && (r->before || !vacuumed) ? 0 : -ENOMEM;
}

// damage tells whether an error is one of what is in the file, and not of the
// moment.
static int damage(int e) {
	switch (-e) {
	case EBADMSG:
	case EADDRNOTAVAIL:
	case ENODATA:
	case EIO:
	case EFBIG:
	case E2BIG:
	case EPROTONOSUPPORT: // compressed by what this libsystemd does not have, or cannot be
		return 1;
	}
	return 0;
}

// leave keeps the cursor of the entry that the reader leaves.
static void leave(struct reader *r) {
	r->behind++;
	if (!r->cursor)
		return;
	if (r->lost) {
		free(r->cursor);
	} else {
		free(r->known);
		r->known = r->cursor;
		r->behind = 1;
	}
	r->cursor = NULL;
	r->lost = 0;
}

// fall_back takes the last cursor known for that of the entry.
static int fall_back(struct reader *r) {
	r->cursor = strdup(r->known);
	r->lost = 1;
	return r->cursor ? 0 : -ENOMEM;
}

int reader_cursor(struct reader *r) {
	if (r->cursor)
		return 0;
	if (!r->journal)
		return -EBADF;
	int e = sd.get_cursor(r->journal, &r->cursor);
	// libsystemd has dropped a damaged file, and with it the position?
	return damage(e) && r->known ? fall_back(r) : e;
}

static uint64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int reader_process(struct reader *r) {
	char *ahead = NULL;
	uint64_t t;
	int e;

	if (!r->journal)
		return -EBADF;
	// A file that was renamed or deleted is dropped, and with it the position on
	// an entry in it: on the last one returned, or on the next one.
	e = reader_cursor(r);
	if (e >= 0 && r->moved && damage(e = sd.get_cursor(r->journal, &ahead)))
		e = 0;
	if (e < 0)
		return e;

	r->processed = now();
	e = sd.process(r->journal);
	if (e == SD_JOURNAL_INVALIDATE)
		r->changes++;
	if (e == SD_JOURNAL_INVALIDATE && !r->before) {
		r->before = strdup(r->cursor);
		r->before_behind = r->lost ? r->behind : 0;
		if (!r->before)
			e = -ENOMEM;
	}
	if (e >= 0 && ahead && sd.get_realtime_usec(r->journal, &t) == -EADDRNOTAVAIL) {
		char *there = NULL;
		e = sd.seek_cursor(r->journal, ahead);
		if (e >= 0)
			e = sd.next(r->journal);
		r->moved = e > 0;
		// In a damaged file libsystemd finds anything, or nothing.
		r->astray = e <= 0 || sd.get_cursor(r->journal, &there) < 0 || strcmp(there, ahead) != 0;
		free(there);
	}
	free(ahead);
	return e < 0 ? e : 0;
}

// reader_process_when_due looks for files that came or went, twenty times a second: twice
// would do not to miss a rotation, but where holes cannot be punched into files
// journald truncates those that it deletes (unlinkat_deallocate in systemd's
// fs-util.c), and who still looks at one then is killed by SIGBUS.
int reader_process_when_due(struct reader *r) {
	return now() - r->processed < 50000 ? 0 : reader_process(r);
}

int reader_next(struct reader *r) {
	enum { AT_ONCE = 4096 }; // entries to pass over before the caller may think of something else
	int e;

	if (!r->journal)
		return -EBADF;
	// Where the last entry's record was asked for, this one's will be, too, and
	// going through the entry once costs less than twice.
	int whole = r->recorded;
	r->recorded = r->packed = 0;
	for (int n = 0; n < AT_ONCE; n++) {
		if (r->astray)
			return READER_STUCK;
		if (r->left == 0)
			return READER_PASSED;
		if (!r->moved) {
			// While there is much to read nobody waits.
			if (++r->calls % 1024 == 0) {
				unsigned changes = r->changes;
				if ((e = reader_process_when_due(r)) < 0)
					return e;
				if (r->changes != changes)
					return READER_PASSED; // Go is to see that all files are open
			}
			if (r->indexed && r->before)
				return READER_PASSED; // Go is to look for the gap first
			e = sd.next(r->journal);
			if (damage(e)) // it may have left the entry, half way to the next
				return r->cursor || (e = fall_back(r)) >= 0 ? READER_STUCK : e;
			if (e <= 0)
				return n > 0 && e == 0 ? READER_PASSED : e;
		}
		r->moved = 0;
		r->walked++;
		r->left--;
		r->scanned++;
		r->cut_here = 0;
		leave(r);
		int first = r->sieves > 0 && !r->indexed, second = r->sieves > 1;
		int look = r->before != NULL;
		e = 0;
		int timed = (!first && !second && !r->orphans) || look || r->last;
		if (timed) {
			e = sd.get_realtime_usec(r->journal, &r->realtime);
			look = look || (r->realtime == r->last && !r->indexed);
		}
		if (e >= 0)
			e = r->orphans ? fields_is_orphan(r) : 1;
		if (e > 0 && first)
			e = fields_sift(r, 0);
		r->passed += e > 0;
		if (e > 0 && second)
			e = fields_sift(r, 1);
		if (e > 0) {
			r->wanted++;
			buffer_empty(&r->kept);
			e = timed ? 0 : sd.get_realtime_usec(r->journal, &r->realtime);
			// Where no field is named, packing the entry shows that it can be read.
			if (e >= 0)
				e = fields_copy(r, r->n_names > 0, whole || r->n_names == 0);
			if (e >= 0)
				return READER_ENTRY;
		}
		if (damage(e))
			r->damaged++;
		else if (e < 0)
			return e;
		if (look)
			return READER_LOOK;
		whole = 0;
	}
	return READER_PASSED;
}

int reader_claim(struct reader *r, char *cursor) {
	free(r->cursor);
	r->cursor = cursor;
	r->lost = 0;
	return cursor ? 0 : -ENOMEM;
}

int reader_collect(struct reader *r, uint64_t entries, size_t room) {
	struct buffer *b = &r->collected;
	int e = READER_PASSED;

	buffer_empty(b);
	r->left = entries;
	while (r->left > 0 && b->len < room && !r->before && (e == READER_PASSED || e == READER_ENTRY)) {
		r->recorded = 1; // has next pack the record as well
		e = reader_next(r);
		if (e != READER_ENTRY)
			continue;
		if ((e = reader_record(r)) < 0 || (e = fields_collect(r)) < 0)
			return e;
		e = READER_ENTRY;
	}
	return e;
}

int reader_record(struct reader *r) {
	r->recorded = 1;
	if (r->packed)
		return 0;
	return r->journal ? fields_copy(r, 0, 1) : -EBADF;
}

// journald tells its readers of new entries up to 250 ms late
// (journal_file_post_change in systemd's journal-file.c), so this asks instead
// of sleeping in sd_journal_wait: every 8 ms while entries come, which costs
// 0.3 to 0.5 % of a core, and every 30 ms when there has been none for 2 s, for
// less than half of that.
int reader_wait(struct reader **readers, size_t n, unsigned milliseconds, const int32_t *stop) {
	const struct timespec brief = {.tv_nsec = 8000000}, longer = {.tv_nsec = 30000000};
	uint64_t t = now(), until = t + (uint64_t)milliseconds * 1000, found = 0;
	int e;

	for (size_t i = 0; i < n; i++) {
		if (!readers[i]->journal)
			return -EBADF;
		if (readers[i]->moved)
			return i + 1;
		e = reader_cursor(readers[i]); // the journal is about to leave the entry
		if (e < 0)
			return e;
		if (readers[i]->found > found)
			found = readers[i]->found;
	}
	for (;; t = now()) {
		for (size_t i = 0; i < n; i++) {
			struct reader *r = readers[i];
			e = reader_process_when_due(r);
			if (e < 0)
				return e;
			e = sd.next(r->journal);
			if (e < 0 && !damage(e)) // next will see that
				return e;
			if (e != 0) {
				r->moved = e > 0;
				r->found = t;
				return i + 1;
			}
		}
		if (t >= until || __atomic_load_n(stop, __ATOMIC_RELAXED))
			return 0;
		nanosleep(t - found < 2000000 ? &brief : &longer, NULL);
	}
}
