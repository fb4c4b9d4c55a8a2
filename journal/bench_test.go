package journal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// BenchmarkAppendJSON formats an entry as a service's line on standard output
// makes one.
func BenchmarkAppendJSON(b *testing.B) {
	var fields []journal.Field
	for name, value := range map[string]string{
		"MESSAGE":  strings.Repeat("request 4f served in 12 ms, ", 8),
		"PRIORITY": "6", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "app7", "_TRANSPORT": "stdout",
		"_STREAM_ID": fmt.Sprintf("%032x", 7), "_PID": "1007", "_UID": "1000", "_GID": "1000", "_COMM": "app7",
		"_EXE": "/usr/bin/app7", "_CMDLINE": "/usr/bin/app7 --serve", "_CAP_EFFECTIVE": "0", "_SELINUX_CONTEXT": "unconfined",
		"_SYSTEMD_CGROUP": "/system.slice/app7.service", "_SYSTEMD_UNIT": "app7.service", "_SYSTEMD_SLICE": "system.slice",
		"_SYSTEMD_INVOCATION_ID": fmt.Sprintf("%032x", 107), "_MACHINE_ID": strings.Repeat("3", 32), "_HOSTNAME": "bench",
		"_BOOT_ID": strings.Repeat("4", 32), "_SOURCE_REALTIME_TIMESTAMP": "1767225600000000",
	} {
		fields = append(fields, journal.Field{Name: name, Value: []byte(value)})
	}
	r := journal.NewRecord("s=1;i=1;b=1;m=1;t=1;x=1", time.Unix(1767225600, 0), time.Second, fields...)
	var out []byte
	for b.Loop() {
		out = r.AppendJSON(out[:0])
	}
	b.SetBytes(int64(len(out)))
}
