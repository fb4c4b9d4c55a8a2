#include "fields.h"
#include "libsystemd.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_TO_KEEP = 4 << 20 }; // a buffer that one large entry blew up beyond this is given back

void buffer_empty(struct buffer *b) {
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

struct name {
	const char *text;
	size_t len;
	struct sieve_tests *tests[SIEVES]; // NULL: that sieve has none on this field
	struct name *next;         // in the same list
};

// start is where to look for the name of the data, which has one byte of it and
// the equals sign at least.
static unsigned start(const char *data) {
	return ((unsigned char)data[0] * 5 + (unsigned char)data[1] * 7) % 256;
}

void fields_free(struct reader *r) {
	for (size_t i = 0; i < r->n_names; i++)
		for (int k = 0; k < SIEVES; k++) {
			if (!r->names[i].tests[k])
				continue;
			sieve_free(r->names[i].tests[k]);
			free(r->names[i].tests[k]);
		}
	free(r->names);
	free(r->names_text);
	r->names = NULL;
	r->names_text = NULL;
	r->n_names = 0;
	r->sieves = 0;
	memset(r->starting, 0, sizeof r->starting);
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
		list[i] = (struct name){.text = p, .len = strlen(p)};
		p += list[i].len + 1;
	}
	fields_free(r);
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

int reader_sieve(struct reader *r, int sieve, size_t field, int op, const char *text, size_t len) {
	struct sieve_tests **tests = &r->names[field].tests[sieve];
	if (!*tests)
		*tests = calloc(1, sizeof **tests);
	if (!*tests)
		return -ENOMEM;
	r->sieves = sieve + 1;
	return sieve_add(*tests, op, text, len);
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

// named returns the wanted field that the data is of, or NULL; with a sieve that is not
// negative only if that has tests on it.
static inline const struct name *named(const struct reader *r, const char *data, size_t size, int sieve) {
	if (size < 2)
		return NULL;
	for (const struct name *n = r->starting[start(data)]; n; n = n->next)
		if (size > n->len && data[n->len] == '=' && (sieve < 0 || n->tests[sieve]) && memcmp(data, n->text, n->len) == 0)
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

int fields_sift(struct reader *r, int sieve) {
	const void *data;
	size_t size;
	int e;

	sd.restart_data(r->journal);
	while ((e = field(r, &data, &size)) > 0) {
		const struct name *n = named(r, data, size, sieve);
		if (!n)
			continue;
		size_t len = size - n->len - 1;
		if (len > r->limit || sieve_passes(n->tests[sieve], (const char *)data + n->len + 1, len)) // rules see the mark of a cut
			return 1;
	}
	return e;
}

int fields_is_orphan(struct reader *r) {
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

	buffer_empty(b);
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

int fields_copy(struct reader *r, int wanted, int whole) {
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
		const struct name *n = wanted ? named(r, data, size, -1) : NULL;
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

int fields_collect(struct reader *r) {
	struct buffer *b = &r->collected;
	char *to = extend(b, sizeof r->realtime);
	if (!to)
		return -ENOMEM;
	memcpy(to, &r->realtime, sizeof r->realtime);
	uint32_t cut = r->cut_here;
	if (!(to = extend(b, sizeof cut)))
		return -ENOMEM;
	memcpy(to, &cut, sizeof cut);
	if (put(b, r->kept.data, r->kept.len) < 0)
		return -ENOMEM;
	return put(b, r->record.data, r->record.len);
}
