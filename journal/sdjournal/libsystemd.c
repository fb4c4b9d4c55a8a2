#define _GNU_SOURCE
#include "libsystemd.h"
#include "reader.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

struct libsystemd sd;

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
