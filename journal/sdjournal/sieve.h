// A sieve holds back entries that no rule can want, before they cost a crossing
// from C to Go.

#ifndef SIEVE_H
#define SIEVE_H

#include <stddef.h>
#include <stdint.h>

enum { SIEVE_PREFIX, SIEVE_EQUAL, SIEVE_CONTAINS }; // journal.Op

// sieve_tests are those on the values of one field. An empty one lets nothing
// pass.
struct sieve_tests {
	struct literal *prefixes[256]; // by their first byte
	struct literal *equals;
	struct literal *contained[256]; // by their first byte
	uint8_t *pairs;                 // bit set: of the first two bytes of those contained
};

// sieve_add adds a test. It returns 0, or -ENOMEM.
int sieve_add(struct sieve_tests *t, int op, const char *text, size_t len);

// sieve_passes tells whether any test holds for the value.
int sieve_passes(const struct sieve_tests *t, const char *value, size_t len);

void sieve_free(struct sieve_tests *t);

#endif
