package strict

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A Bytes is an amount of bytes: "1GiB", "512MiB", "10MB", or a plain number.
type Bytes int64

// ParseDuration reads what time.ParseDuration does, and days (24 hours) and
// weeks; nothing negative.
func ParseDuration(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, true
	}
	var total time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if i <= 0 {
			return 0, false
		}
		j := i
		for j < len(rest) && rest[j] != '.' && (rest[j] < '0' || rest[j] > '9') {
			j++
		}
		number, unit := rest[:i], rest[i:j]
		rest = rest[j:]
		one, ok := units[unit]
		n, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || n*float64(one) >= math.MaxInt64 {
			return 0, false
		}
		total += time.Duration(math.Round(n * float64(one)))
		if total < 0 {
			return 0, false
		}
	}
	return total, s != ""
}

var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

var sizes = map[string]float64{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, // as in systemd's own files
}

func parseBytes(s string) (int64, bool) {
	i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		i = len(s)
	}
	unit, ok := sizes[strings.TrimSpace(s[i:])]
	n, err := strconv.ParseFloat(s[:i], 64)
	if !ok || err != nil || n*unit >= math.MaxInt64 {
		return 0, false
	}
	return int64(n * unit), true
}
