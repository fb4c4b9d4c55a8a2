#define _GNU_SOURCE
#include "reader.h"

#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The functions are looked up at run time as go-systemd does, so that the
// program neither needs libsystemd to be linked nor ever maps two of them.
static struct {
	int (*open_namespace)(sd_journal **, const char *, int);
	int (*wait)(sd_journal *, uint64_t);
	int (*process)(sd_journal *);
	int (*next)(sd_journal *);
	int (*get_cursor)(sd_journal *, char **);
	int (*seek_cursor)(sd_journal *, const char *);
	int (*get_realtime_usec)(sd_journal *, uint64_t *);
	int (*get_monotonic_usec)(sd_journal *, uint64_t *, sd_id128_t *);
	int (*get_data)(sd_journal *, const char *, const void **, size_t *);
	int (*set_data_threshold)(sd_journal *, size_t);
	int (*enumerate_data)(sd_journal *, const void **, size_t *);
	void (*restart_data)(sd_journal *);
} sd;

const char *reader_load(void) {
	void *library = dlopen("libsystemd.so.0", RTLD_LAZY);
	if (!library)
		return dlerror();

	sd.open_namespace = dlsym(library, "sd_journal_open_namespace"); // since systemd 245
	dlerror();

	const struct {
		const char *name;
		void *to;
	} symbols[] = {
		{"sd_journal_wait", &sd.wait},
		{"sd_journal_process", &sd.process},
		{"sd_journal_next", &sd.next},
		{"sd_journal_get_cursor", &sd.get_cursor},
		{"sd_journal_seek_cursor", &sd.seek_cursor},
		{"sd_journal_get_realtime_usec", &sd.get_realtime_usec},
		{"sd_journal_get_monotonic_usec", &sd.get_monotonic_usec},
		{"sd_journal_get_data", &sd.get_data},
		{"sd_journal_set_data_threshold", &sd.set_data_threshold},
		{"sd_journal_enumerate_data", &sd.enumerate_data},
		{"sd_journal_restart_data", &sd.restart_data},
	};
	for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
		void *symbol = dlsym(library, symbols[i].name);
		if (!symbol)
			return dlerror();
		memcpy(symbols[i].to, &symbol, sizeof symbol);
	}
	return NULL;
}

int reader_open_namespace(sd_journal **ret, const char *name) {
	if (!sd.open_namespace)
		return -ENOSYS;
	return sd.open_namespace(ret, name, SD_JOURNAL_LOCAL_ONLY);
}

// Buffers

enum { ROOM_TO_KEEP = 4 << 20 }; // a buffer that one large entry blew up beyond this is given back

static void empty(struct buffer *b) {
	b->len = 0;
	if (b->cap > ROOM_TO_KEEP) {
		free(b->data);
		*b = (struct buffer){0};
	}
}

// extend returns room for n more bytes.
static char *extend(struct buffer *b, size_t n) {
	if (b->cap - b->len < n) {
		size_t cap = b->cap < 4096 ? 4096 : b->cap;
		while (cap - b->len < n)
			cap *= 2;
		char *data = realloc(b->data, cap);
		if (!data)
			return NULL;
		b->data = data;
		b->cap = cap;
	}
	b->len += n;
	return b->data + b->len - n;
}

// The reader

enum { LONGEST_NAME = 64 }; // of a field: journal_field_valid in systemd's journal-file.c

struct name {
	const char *text;
	size_t len;
	struct sieve_tests *sieve; // NULL: no tests on this field
	struct name *next;         // in the same list
};

// start is where to look for the name of the data, which has one byte of it and
// the equals sign at least.
static unsigned start(const char *data) {
	return ((unsigned char)data[0] * 5 + (unsigned char)data[1] * 7) % 256;
}

static void free_names(struct reader *r) {
	for (size_t i = 0; i < r->n_names; i++) {
		if (!r->names[i].sieve)
			continue;
		sieve_free(r->names[i].sieve);
		free(r->names[i].sieve);
	}
	free(r->names);
	free(r->names_text);
	r->names = NULL;
	r->names_text = NULL;
	r->n_names = 0;
	r->sifting = 0;
	memset(r->starting, 0, sizeof r->starting);
}

struct reader *reader_new(sd_journal *journal, size_t limit, int *error) {
	struct reader *r = calloc(1, sizeof *r);
	if (!r) {
		*error = -ENOMEM;
		return NULL;
	}
	r->limit = limit;
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
	free(r->cursor);
	free(r->known);
	free(r->before);
	free_names(r);
	free(r);
}

int reader_keep(struct reader *r, const char *names, size_t len, size_t n) {
	struct name *list = calloc(n + 1, sizeof *list);
	char *text = malloc(len + 1);
	if (!list || !text) {
		free(list);
		free(text);
		return -ENOMEM;
	}
	memcpy(text, names, len);
	text[len] = 0;
	const char *p = text;
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct name){p, strlen(p), NULL, NULL};
		p += list[i].len + 1;
	}
	free_names(r);
	for (size_t i = 0; i < n; i++) {
		const char begin[2] = {list[i].text[0], list[i].len > 1 ? list[i].text[1] : '='};
		struct name **head = &r->starting[start(begin)];
		list[i].next = *head;
		*head = &list[i];
	}
	r->names = list;
	r->names_text = text;
	r->n_names = n;
	return 0;
}

int reader_sieve(struct reader *r, size_t field, int op, const char *text, size_t len) {
	struct name *n = &r->names[field];
	if (!n->sieve)
		n->sieve = calloc(1, sizeof *n->sieve);
	if (!n->sieve)
		return -ENOMEM;
	r->sifting = 1;
	return sieve_add(n->sieve, op, text, len);
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

// process_when_due looks for files that came or went, twenty times a second: twice
// would do not to miss a rotation, but where holes cannot be punched into files
// journald truncates those that it deletes (unlinkat_deallocate in systemd's
// fs-util.c), and who still looks at one then is killed by SIGBUS.
static int process_when_due(struct reader *r) {
	return now() - r->processed < 50000 ? 0 : reader_process(r);
}

static int put32(struct buffer *b, uint32_t v) {
	char *to = extend(b, sizeof v);
	v = htole32(v);
	return to ? memcpy(to, &v, sizeof v), 0 : -ENOMEM;
}

static int put(struct buffer *b, const void *data, size_t n) {
	if (put32(b, n) < 0)
		return -ENOMEM;
	char *to = extend(b, n);
	return to ? memcpy(to, data, n), 0 : -ENOMEM;
}

// shorten returns how many bytes of a value that is longer than the limit are
// left: that many, or up to three fewer, so as not to cut a character in two.
static size_t shorten(const char *value, size_t limit) {
	const unsigned char *v = (const unsigned char *)value;
	for (size_t n = 0; n <= 3 && n <= limit; n++) {
		unsigned char c = v[limit - n];
		if ((c & 0xc0) == 0x80) // goes on with what began before
			continue;
		size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		return whole > n ? limit - n : limit;
	}
	return limit; // it is no text
}

// put_field puts a field from that byte on: 0, or that of its value. It returns 1
// if it had to cut the value short.
static int put_field(const struct reader *r, struct buffer *b, const char *data, size_t size, size_t from) {
	const char *equals = size > r->limit ? memchr(data, '=', size) : NULL;
	size_t name = equals ? equals - data + 1 : 0;
	if (!equals || size - name <= r->limit)
		return put(b, data + from, size - from);
	size_t n = name - from + shorten(data + name, r->limit);
	if (put32(b, n + r->mark_len) < 0)
		return -ENOMEM;
	char *to = extend(b, n + r->mark_len);
	if (!to)
		return -ENOMEM;
	memcpy(to, data + from, n);
	memcpy(to + n, r->mark, r->mark_len);
	return 1;
}

// named returns the wanted field that the data is of, or NULL; with tested only if
// there are tests on it.
static inline const struct name *named(const struct reader *r, const char *data, size_t size, int tested) {
	if (size < 2)
		return NULL;
	for (const struct name *n = r->starting[start(data)]; n; n = n->next)
		if (size > n->len && data[n->len] == '=' && (!tested || n->sieve) && memcmp(data, n->text, n->len) == 0)
			return n;
	return NULL;
}

// field is sd_journal_enumerate_data, which says of a broken xz stream that there
// is no memory (decompress_blob_xz in systemd's compress.c).
static int field(struct reader *r, const void **data, size_t *size) {
	int e = sd.enumerate_data(r->journal, data, size);
	if (e != -ENOMEM)
		return e;
	void *memory = malloc(r->limit);
	free(memory);
	return memory ? -EBADMSG : e;
}

// sift returns 1 for an entry that the sieve lets through, 0 for others.
static int sift(struct reader *r) {
	const void *data;
	size_t size;
	int e;

	sd.restart_data(r->journal);
	while ((e = field(r, &data, &size)) > 0) {
		const struct name *n = named(r, data, size, 1);
		if (!n)
			continue;
		size_t len = size - n->len - 1;
		if (len > r->limit || sieve_passes(n->sieve, (const char *)data + n->len + 1, len)) // rules see the mark of a cut
			return 1;
	}
	return e;
}

// is_orphan returns 1 for an entry that bears no machine id, 0 for others.
static int is_orphan(struct reader *r) {
	enum { NAME = sizeof "_MACHINE_ID=" - 1, DIGITS = 32 };
	const void *data;
	size_t size;

	int e = sd.get_data(r->journal, "_MACHINE_ID", &data, &size);
	if (e == -ENOENT)
		return 1;
	if (e < 0)
		return e;
	if (size != NAME + DIGITS)
		return 1;
	for (const char *p = (const char *)data + NAME; p < (const char *)data + size; p++)
		if ((*p < '0' || *p > '9') && (*p < 'a' || *p > 'f'))
			return 1;
	return 0;
}

// head begins the record, in the form of journal.Record.
static int head(struct reader *r) {
	struct buffer *b = &r->record;
	uint64_t times[2];
	sd_id128_t boot;
	int e;

	empty(b);
	e = sd.get_monotonic_usec(r->journal, &times[1], &boot);
	if (e < 0)
		return e;
	e = reader_cursor(r);
	if (e < 0)
		return e;
	times[0] = htole64(r->realtime);
	times[1] = htole64(times[1]);
	char *to = extend(b, sizeof times);
	if (!to)
		return -ENOMEM;
	memcpy(to, times, sizeof times);
	return put(b, r->cursor, strlen(r->cursor));
}

// copy keeps the values of the wanted fields and, if asked to, packs the record.
static int copy(struct reader *r, int wanted, int whole) {
	const void *data;
	size_t size;
	unsigned cut = 0;
	int e;

	if (whole && (e = head(r)) < 0)
		return e;
	sd.restart_data(r->journal);
	while ((e = field(r, &data, &size)) > 0) {
		int shortened = 0;
		if (whole && (shortened = put_field(r, &r->record, data, size, 0)) < 0)
			return shortened;
		const struct name *n = wanted ? named(r, data, size, 0) : NULL;
		if (n && ((e = put32(&r->kept, n - r->names)) < 0 || (shortened = e = put_field(r, &r->kept, data, size, n->len + 1)) < 0))
			return e;
		cut += shortened;
	}
	if (cut > r->cut_here) {
		r->cut += cut - r->cut_here;
		r->cut_here = cut;
	}
	r->packed = whole && e == 0;
	return e;
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
		if (!r->moved) {
			// While there is much to read nobody waits.
			if (++r->calls % 1024 == 0) {
				unsigned changes = r->changes;
				if ((e = process_when_due(r)) < 0)
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
		r->scanned++;
		r->cut_here = 0;
		leave(r);
		int sifting = r->sifting && !r->indexed;
		int look = r->before != NULL;
		e = 0;
		if ((!sifting && !r->orphans) || look || r->last) {
			e = sd.get_realtime_usec(r->journal, &r->realtime);
			look = look || r->realtime == r->last;
		}
		if (e >= 0)
			e = r->orphans ? is_orphan(r) : 1;
		if (e > 0 && sifting)
			e = sift(r);
		if (e > 0) {
			r->wanted++;
			empty(&r->kept);
			e = sd.get_realtime_usec(r->journal, &r->realtime);
			// Where no field is named, packing the entry shows that it can be read.
			if (e >= 0)
				e = copy(r, r->n_names > 0, whole || r->n_names == 0);
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

int reader_record(struct reader *r) {
	r->recorded = 1;
	if (r->packed)
		return 0;
	return r->journal ? copy(r, 0, 1) : -EBADF;
}

// journald tells its readers of new entries up to 250 ms late
// (journal_file_post_change in systemd's journal-file.c), so this asks instead
// of sleeping in sd_journal_wait: every 8 ms while entries come, which costs
// 0.3 to 0.5 % of a core, and every 20 ms when there has been none for 2 s, for
// less than half of that.
int reader_wait(struct reader **readers, size_t n, unsigned milliseconds, const int32_t *stop) {
	const struct timespec brief = {.tv_nsec = 8000000}, longer = {.tv_nsec = 20000000};
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
			e = process_when_due(r);
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
