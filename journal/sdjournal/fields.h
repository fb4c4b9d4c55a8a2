// The fields of the entry that the journal stands on.

#ifndef FIELDS_H
#define FIELDS_H

#include "reader.h"

enum { LONGEST_NAME = 64 }; // of a field: journal_field_valid in systemd's journal-file.c

void buffer_empty(struct buffer *b);

void fields_free(struct reader *r); // the names of those wanted, and the tests on them

// fields_sift returns 1 for an entry that this sieve lets through, 0 for others.
int fields_sift(struct reader *r, int sieve);

// fields_is_orphan returns 1 for an entry that bears no machine id, 0 for others.
int fields_is_orphan(struct reader *r);

// fields_copy keeps the values of the wanted fields and, if asked to, packs the record.
int fields_copy(struct reader *r, int wanted, int whole);

// fields_collect appends the entry, whose record is there, to collected.
int fields_collect(struct reader *r);

#endif
