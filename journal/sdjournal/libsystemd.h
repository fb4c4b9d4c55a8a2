// libsystemd's functions.

#ifndef LIBSYSTEMD_H
#define LIBSYSTEMD_H

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-journal.h>

// The functions are looked up at run time as go-systemd does, so that the
// program neither needs libsystemd to be linked nor ever maps two of them.
extern struct libsystemd {
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
} sd __attribute__((visibility("hidden")));

#endif
