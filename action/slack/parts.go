package slack

import (
	"fmt"
	"slices"
	"strings"
)

// A part is as much of a text as one post shows.
type part struct {
	text       string
	characters int // of the text, as readers count
	// reopened and closed say that a ``` was put before it or behind it, as a code
	// block goes through several parts.
	reopened, closed bool
}

// blank makes a part that is nothing but white space one that Slack takes.
const blank = "\u200b"

// split breaks a text into parts of at most room characters, as Slack counts, behind a line if
// possible, else behind a word. It makes no more than most, and returns how many
// characters are left then. The parts, one behind the other, are the whole text.
func split(s string, link func(url string) string, room, most int) (parts []part, left int) {
	room -= units(blank)
	var (
		now        part     // but for its text,
		text       []byte   // which is this until it is whole
		size       int      // units of text
		block      bool     // in a code block
		line, word position // behind the last line and word of text
	)
	// end finishes the part that is under way, at a position in it.
	end := func(at position) {
		done, carry := now, part{characters: now.characters - at.characters}
		done.text, done.characters, done.closed = string(text[:at.bytes]), at.characters, at.block
		text = append(text[:0], text[at.bytes:]...)
		if strings.TrimSpace(done.text) == "" {
			done.text = blank + done.text
		}
		if done.closed {
			done.text += fenceMark
			text, carry.reopened = slices.Insert(text, 0, []byte(fenceMark)...), true
		}
		parts = append(parts, done)
		now, size, line, word = carry, units(string(text)), position{}, position{}
	}
	read := 0
	for t := range tokens(s, link) {
		read += len(t.source)
		need := units(t.text)
		switch {
		case block && t.kind != fence:
			need += len(fenceMark) // for closing it
		case !block && t.kind == fence:
			need += len(fenceMark) + 100 // no code block begins at the very end
		}
		for now.characters > 0 && size+need > room {
			at := position{len(text), now.characters, size, block}
			for _, better := range []position{word, line} {
				if better.size >= room/2 {
					at = better
				}
			}
			if end(at); len(parts) == most {
				return parts, now.characters + characters(t.source) + characters(s[read:])
			}
		}
		if t.kind == fence {
			block = !block
		}
		text = append(text, t.text...)
		now.characters += characters(t.source)
		size += units(t.text)
		here := position{len(text), now.characters, size, block}
		switch t.kind {
		case newline:
			line = here
		case space:
			word = here
		}
	}
	if now.characters > 0 {
		end(position{bytes: len(text), characters: now.characters})
	}
	return parts, 0
}

// A position within a part, counted in three ways, and whether it is in a code block.
type position struct {
	bytes, characters, size int
	block                   bool
}

// cut shortens s to limit characters, of which the last say how many are
// missing.
func cut(s string, link func(url string) string, limit int) string {
	const mark = "… [%d more characters cut off]"
	total := characters(s)
	keep := limit - units(fmt.Sprintf(mark, total))
	var (
		all   strings.Builder
		here  position
		there position // the last one behind which there is room for the mark
	)
	for t := range tokens(s, link) {
		all.WriteString(t.text)
		here.bytes, here.characters, here.size = all.Len(), here.characters+characters(t.source), here.size+units(t.text)
		if t.kind == fence {
			here.block = !here.block
		}
		closing := ""
		if here.block {
			closing = fenceMark
		}
		if here.size+len(closing) <= keep {
			there = here
		}
		if here.size > limit {
			if closing = ""; there.block {
				closing = fenceMark
			}
			return all.String()[:there.bytes] + closing + fmt.Sprintf(mark, total-there.characters)
		}
	}
	return all.String()
}
