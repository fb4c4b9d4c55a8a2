package config

import (
	"regexp"
	"strconv"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/router"
)

// decodeConcurrency returns at least 1.
func (b *built) decodeConcurrency(v strict.Value) int {
	const most = 1000
	n := 1
	if !v.Exists() || !v.Decode(&n) {
		return 1
	}
	if _, ok := b.Destination.(action.Parallel); !ok && b.Destination != nil {
		v.Report("leave concurrency out", "an action of kind %s makes one call at a time", b.Kind)
		return 1
	}
	if n < 1 || n > most {
		v.Report("", "concurrency must be from 1 to %d", most)
		return 1
	}
	return n
}

// decodeBatch wants the destination to be there, unless that is wrong itself.
func (b *built) decodeBatch(v strict.Value) (batch router.Batch) {
	if !v.Exists() {
		return batch
	}
	var in struct {
		Max      *int           `yaml:"max"`
		Wait     *time.Duration `yaml:"wait"`
		MaxBytes *strict.Bytes  `yaml:"max_bytes"`
	}
	if !v.Decode(&in) || b.Destination == nil {
		return batch
	}
	most := 1
	if batcher, ok := b.Destination.(action.Batcher); ok {
		_, most = batcher.Batch()
	}
	if most == 1 {
		hint := "leave batch out"
		if b.Kind == "webhook" {
			hint = "set format: array or format: ndjson in the webhook, or leave batch out"
		}
		v.Report(hint, "this %s action carries one delivery a call", b.Kind)
		return batch
	}
	batch.Max = most
	if in.Max != nil {
		if batch.Max = *in.Max; batch.Max < 1 || batch.Max > most {
			at, _ := v.Find("max")
			at.Report("", "max must be from 1 to %d for a %s action", most, b.Kind)
		}
	}
	if in.Wait != nil {
		if batch.Wait = *in.Wait; batch.Wait > time.Hour {
			at, _ := v.Find("wait")
			at.Report("", "wait must be 1h at most")
		}
	}
	const largest = 64 << 20
	if in.MaxBytes != nil {
		if batch.MaxBytes = int(*in.MaxBytes); *in.MaxBytes < 1 || *in.MaxBytes > largest {
			at, _ := v.Find("max_bytes")
			at.Report("", "max_bytes must be from 1 to 64MiB")
		}
	}
	return batch
}

// calls is a rate: how many calls in a second, a minute or an hour.
var calls = regexp.MustCompile(`^([1-9][0-9]{0,5})/(s|m|h)$`)

func decodeRate(v strict.Value) (r router.Rate) {
	if !v.Exists() {
		return r
	}
	limit := v
	var in struct {
		Limit strict.Value `yaml:"limit,required"`
		Burst *int         `yaml:"burst"`
	}
	if v.IsMap() {
		if !v.Decode(&in) {
			return r
		}
		limit = in.Limit
	}
	text, ok := limit.Text()
	if !ok {
		return r
	}
	parts := calls.FindStringSubmatch(text)
	if parts == nil {
		limit.Report("such as 1/s, 30/m or 100/h", "%s wants a number of calls a second, minute or hour, not %s", limit.Name(), strict.Quote(text))
		return r
	}
	r.Calls, _ = strconv.Atoi(parts[1])
	r.Per = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[parts[2]]
	r.Burst = 1
	if in.Burst != nil {
		if r.Burst = *in.Burst; r.Burst < 1 || r.Burst > 1e6 {
			at, _ := v.Find("burst")
			at.Report("", "burst must be from 1 to 1000000")
		}
	}
	return r
}
