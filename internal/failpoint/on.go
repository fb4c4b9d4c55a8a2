//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// fatal is the point to die at, and nth which hit of it is the last.
var fatal, nth = asked(os.Getenv("JOURNALD_ROUTER_FAILPOINT"))

// hits counts those of the fatal point.
var hits atomic.Int64

// asked ends the program if the setting makes no sense: a test that sets it
// would wait in vain.
func asked(setting string) (point string, nth int64) {
	if setting == "" {
		return "", 0
	}
	point, number, _ := strings.Cut(setting, ":")
	nth, err := strconv.ParseInt(number, 10, 64)
	if err != nil || nth < 1 {
		fmt.Fprintf(os.Stderr, "JOURNALD_ROUTER_FAILPOINT=%s: want the name of a point, a colon, and which hit of it is the last\n", setting)
		os.Exit(2)
	}
	return point, nth
}

// Hit kills the process if this is the hit that was asked for, and then does not
// return.
func Hit(of, step string) {
	if fatal == of+"."+step && hits.Add(1) == nth {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
