#include "sieve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct literal {
	struct literal *next;
	size_t len;
	char text[];
};

enum { PAIRS = 65536 / 8 };

static unsigned pair(const char *p) {
	return (unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void set_pairs(uint8_t *pairs, const char *text, size_t len) {
	for (unsigned second = 0; second < 256; second++) {
		if (len > 1 && second != (unsigned char)text[1])
			continue;
		unsigned p = (unsigned char)text[0] << 8 | second;
		pairs[p / 8] |= 1 << p % 8;
	}
}

int sieve_add(struct sieve_tests *t, int op, const char *text, size_t len) {
	struct literal *l = malloc(sizeof *l + len);
	if (!l)
		return -ENOMEM;
	l->len = len;
	memcpy(l->text, text, len);

	struct literal **list = &t->equals;
	if (op != SIEVE_EQUAL)
		list = op == SIEVE_PREFIX ? &t->prefixes[(unsigned char)text[0]] : &t->contained[(unsigned char)text[0]];
	l->next = *list;
	*list = l;
	if (op != SIEVE_CONTAINS)
		return 0;
	if (!t->pairs)
		t->pairs = calloc(1, PAIRS);
	if (!t->pairs)
		return -ENOMEM;
	set_pairs(t->pairs, text, len);
	return 0;
}

static int begins(const struct literal *l, const char *value, size_t len) {
	for (; l; l = l->next)
		if (len >= l->len && memcmp(value, l->text, l->len) == 0)
			return 1;
	return 0;
}

// contains looks at every pair of bytes once, however many texts are looked for:
// few of them begin any.
static int contains(const struct sieve_tests *t, const char *value, size_t len) {
	for (size_t i = 0; i + 1 < len; i++) {
		unsigned p = pair(value + i);
		if (t->pairs[p / 8] & 1 << p % 8 && begins(t->contained[p >> 8], value + i, len - i))
			return 1;
	}
	return len > 0 && begins(t->contained[(unsigned char)value[len - 1]], value + len - 1, 1);
}

int sieve_passes(const struct sieve_tests *t, const char *value, size_t len) {
	for (const struct literal *l = t->equals; l; l = l->next)
		if (len == l->len && memcmp(value, l->text, len) == 0)
			return 1;
	if (len > 0 && begins(t->prefixes[(unsigned char)value[0]], value, len))
		return 1;
	return t->pairs && contains(t, value, len);
}

static void free_list(struct literal *l) {
	while (l) {
		struct literal *next = l->next;
		free(l);
		l = next;
	}
}

void sieve_free(struct sieve_tests *t) {
	free_list(t->equals);
	for (int i = 0; i < 256; i++) {
		free_list(t->prefixes[i]);
		free_list(t->contained[i]);
	}
	free(t->pairs);
}
