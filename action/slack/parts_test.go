package slack

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	word := strings.Repeat("x", 39)
	tests := []struct {
		name, text string
		room       int
		want       []string
		left       int
	}{
		{"fits", "hello", 100, []string{"hello"}, 0},
		{"as long as it may be", strings.Repeat("y", 99), 100, []string{strings.Repeat("y", 99)}, 0},
		{"without a place to break", strings.Repeat("y", 150), 100, []string{strings.Repeat("y", 99), strings.Repeat("y", 51)}, 0},
		{"behind a word", word + " " + word + " " + word, 100, []string{word + " " + word + " ", word}, 0},
		{"behind a tab", word + "\t" + word + word, 100, []string{word + "\t" + word + word[:20], word[:19]}, 0},
		{"behind a tab, late enough", word + word[:20] + "\t" + word + word, 100, []string{word + word[:20] + "\t", word + word}, 0},
		{"better behind a line", word + "\n" + word[:20] + " " + word + word, 100, []string{word + "\n" + word[:20] + " ", word + word}, 0},
		{"a line that ends too early", "x\n" + word + "yyyyyyyyy " + word + word, 100, []string{"x\n" + word + "yyyyyyyyy ", word + word}, 0},
		{"characters that count double", strings.Repeat("😀", 60), 101, []string{strings.Repeat("😀", 50), strings.Repeat("😀", 10)}, 0},
		{"an entity", strings.Repeat("y", 97) + "&lt;z", 100, []string{strings.Repeat("y", 97), "&lt;z"}, 0},
		{"mark-up", strings.Repeat("y", 97) + "<https://a.example|z>", 100, []string{strings.Repeat("y", 97), "<https://a.example|z>"}, 0},
		{"a link", strings.Repeat("y", 80) + " https://a.example/abcdefg", 100, []string{strings.Repeat("y", 80) + " ", "<https://a.example/abcdefg>"}, 0},
		{"a code block", "```\n" + word + "\n" + word + "\n" + word + "\n```", 100, []string{"```\n" + word + "\n" + word + "\n```", "```" + word + "\n```"}, 0},
		{"a code block near the end", word + " " + word + " ```a```", 100, []string{word + " " + word + " ", "```a```"}, 0},
		{"blank", strings.Repeat("\n", 150), 100, []string{"\u200b" + strings.Repeat("\n", 99), "\u200b" + strings.Repeat("\n", 51)}, 0},
		{"more than there may be", strings.Repeat("&amp;yyyyy", 100), 100, []string{strings.Repeat("&amp;yyyyy", 9) + "&amp;yyyy", "y" + strings.Repeat("&amp;yyyyy", 9) + "&amp;yyy", "yy" + strings.Repeat("&amp;yyyyy", 9) + "&amp;yy"}, 600 - 59 - 59 - 59},
	}
	for _, tt := range tests {
		parts, left := split(tt.text, anyLink, tt.room, 3)
		var got []string
		for _, p := range parts {
			got = append(got, p.text)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || left != tt.left {
			t.Errorf("%s: %d left, want %d; parts (-want +got):\n%s", tt.name, left, tt.left, diff)
		}
	}
}

// TestSplitKeepsAll: the parts say all that the text says, in whatever pieces.
func TestSplitKeepsAll(t *testing.T) {
	pieces := []string{"a", "é", "😀", " ", "\n", "\n\n", "&amp;", "&lt;!channel&gt;", "&", "<", ">", "```", "`", "<!here>", "<https://a.example|b>", "https://c.example/d",
		"https://c.example/" + strings.Repeat("e", 100), "word ", strings.Repeat("long", 50), "\u200b"}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 7))
		var b strings.Builder
		for range random.IntN(1500) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := b.String()
		room := maxToken + 200 + random.IntN(500)
		parts, left := split(text, anyLink, room, 1<<20)
		var all strings.Builder
		n := 0
		for _, p := range parts {
			s := p.text
			if units(s) > room {
				t.Fatalf("seed %d: a part of %d, and there is room for %d: %q", seed, units(s), room, s)
			}
			if strings.TrimSpace(s) == "" {
				t.Fatalf("seed %d: a blank part", seed)
			}
			if p.reopened {
				s = strings.TrimPrefix(s, fenceMark)
			}
			if p.closed {
				s = strings.TrimSuffix(s, fenceMark)
			}
			if bare := strings.TrimPrefix(s, blank); strings.TrimSpace(bare) == "" {
				s = bare
			}
			all.WriteString(s)
			n += p.characters
		}
		if got, want := shown(all.String()), shown(render(text, anyLink)); got != want || left != 0 {
			t.Fatalf("seed %d: %d left of\n%q\n%q", seed, left, want, got)
		}
		if n != characters(text) {
			t.Fatalf("seed %d: %d of %d characters", seed, n, characters(text))
		}
	}
}

var anyMarkup = regexp.MustCompile(`<([^<>|]*)(?:\|[^<>]*)?>`)

// shown is what there is of a text in Slack, the targets of links included.
func shown(s string) string { return unescape(anyMarkup.ReplaceAllString(s, "$1")) }

func TestCut(t *testing.T) {
	long := strings.Repeat("x", 200)
	tests := []struct{ name, text, want string }{
		{"fits", long[:100], long[:100]},
		{"too long", long, long[:69] + "… [131 more characters cut off]"},
		{"in characters that count double", strings.Repeat("😀", 100), strings.Repeat("😀", 34) + "… [66 more characters cut off]"},
		{"an entity", long[:67] + strings.Repeat("&lt;", 90), long[:67] + "… [90 more characters cut off]"},
		{"mark-up", long[:60] + "<!here|everybody who is there>" + long, long[:60] + "… [230 more characters cut off]"},
		{"a URL", long[:60] + " https://a.example/b " + long, long[:60] + " … [220 more characters cut off]"},
		{"a code block that begins within the mark", long[:80] + "```" + long + "```", long[:69] + "… [217 more characters cut off]"},
		{"a code block", "```" + long + "```", "```" + long[:63] + "```… [140 more characters cut off]"},
	}
	for _, tt := range tests {
		if got := cut(tt.text, anyLink, 100); got != tt.want || units(got) > 100 {
			t.Errorf("%s: %d characters\n got %s\nwant %s", tt.name, units(got), got, tt.want)
		}
	}
}
