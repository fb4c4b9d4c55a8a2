// The C loop that the reader is measured against: libsystemd's cheapest way to
// look at one field of every entry.
//
//	loop DIRECTORY scan PREFIX               sd_journal_next, sd_journal_get_data("MESSAGE")
//	loop DIRECTORY match FIELD=VALUE PREFIX  the same, over the entries of one match
//
// It prints how many entries it saw, how many had the prefix, and the seconds.
#include <stdio.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	sd_journal *j;
	const void *data;
	size_t size;
	long entries = 0, found = 0;

	if (argc < 4 || sd_journal_open_directory(&j, argv[1], 0) < 0)
		return 1;
	const char *prefix = argv[argc - 1];
	size_t n = strlen(prefix);
	if (argc == 5 && sd_journal_add_match(j, argv[3], 0) < 0)
		return 1;
	double start = now();
	if (sd_journal_seek_head(j) < 0)
		return 1;
	while (sd_journal_next(j) > 0) {
		entries++;
		if (sd_journal_get_data(j, "MESSAGE", &data, &size) < 0)
			continue;
		if (size >= 8 + n && memcmp((const char *)data + 8, prefix, n) == 0)
			found++;
	}
	printf("%ld %ld %f\n", entries, found, now() - start);
	return 0;
}
