package main

import (
	"strconv"
	"time"

	"github.com/journald-router/journald-router/config"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// source is what a position belongs to: another journal begins anew.
func source(j config.Journal) string {
	switch {
	case j.Namespace != "":
		return "namespace " + j.Namespace
	case j.Directory != "":
		return "directory " + j.Directory
	}
	return "journal"
}

// open opens the journal, a reader for each machine where it is a directory.
func (p *process) open(position string) (journal.Reader, error) {
	j := p.config.Journal
	o := sdjournal.Options{
		Directory: j.Directory, Namespace: j.Namespace, Start: j.Start, After: position, Once: p.once,
		OnGap: p.gap, OnDamage: p.damage, MaxFieldBytes: j.MaxFieldBytes, OnCut: p.cut,
	}
	if j.Directory != "" {
		return sdjournal.OpenMachines(o, openLines)
	}
	return openLines(o)
}

// openLines opens a reader of whole lines.
func openLines(o sdjournal.Options) (journal.Reader, error) {
	return join.Open(join.Options{After: o.After, MaxBytes: o.MaxFieldBytes, Open: func(position string, again bool) (journal.Reader, error) {
		o := o
		o.After = position
		if again { // what was told of once
			o.OnGap, o.OnDamage, o.OnCut = nil, nil, nil
		}
		return sdjournal.Open(o)
	}})
}

func (p *process) gap(g journal.Gap) {
	p.router.CountGap(g)
	log := p.log
	if g.Machine != "" {
		log = log.With("machine", g.Machine)
	}
	log.Error("entries of the journal were deleted before they could be read",
		"after", g.After.Format(time.RFC3339), "until", g.Until.Format(time.RFC3339), "entries", entries(g.Entries))
}

func (p *process) damage(d journal.Damage) {
	p.router.CountDamage(d)
	p.log.Error("the journal is damaged, or a file is missing in its middle: entries could not be read, and were passed over",
		"after", d.After.Format(time.RFC3339), "until", d.Until.Format(time.RFC3339), "entries", entries(d.Entries))
}

// entries is how many were lost, where it is known.
func entries(n uint64) string {
	if n == 0 {
		return "unknown"
	}
	return strconv.FormatUint(n, 10)
}

// cut counts values that were cut, and tells of them once a minute at most. It is
// called by the one goroutine that reads.
func (p *process) cut(values uint64) {
	p.router.CountFieldsCut(values)
	p.cuts += values
	if time.Since(p.toldOfCuts) < time.Minute {
		return
	}
	p.log.Warn("values of fields were cut: they are longer than max_field_bytes", "values", p.cuts, "max_field_bytes", p.config.Journal.MaxFieldBytes)
	p.cuts, p.toldOfCuts = 0, time.Now()
}
