package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"testing"

	"github.com/journald-router/journald-router/spool"
)

// TestListStreams: neither form of the list waits for its end, which a million
// letters would have to fit into memory for.
func TestListStreams(t *testing.T) {
	const letters, behind = 20_000, 1000
	for name, list := range map[string]func(io.Writer, iter.Seq2[spool.LetterView, error]) error{
		"json": listJSON,
		"text": func(out io.Writer, list iter.Seq2[spool.LetterView, error]) error {
			n, err := listText(out, list)
			if n != letters {
				t.Errorf("%d letters counted", n)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := list(&out, func(yield func(spool.LetterView, error) bool) {
				for n := range letters {
					if lines := bytes.Count(out.Bytes(), []byte("\n")); n%5000 == 0 && lines < n-behind {
						t.Errorf("after %d letters there are %d lines", n, lines)
					}
					if !yield(spool.LetterView{ID: fmt.Sprintf("%032d", n), Action: "a", Record: json.RawMessage("{}")}, nil) {
						return
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := letters
			if name == "text" {
				want++ // the head
			}
			if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != want {
				t.Errorf("%d lines, want %d", lines, want)
			}
			if name == "json" && !json.Valid(out.Bytes()) {
				t.Error("it is no JSON")
			}
		})
	}
}
