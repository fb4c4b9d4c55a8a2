// Picture makes the pictures of docs/actions/slack.md: messages.json, which a test of package
// slack keeps what the action posts, as HTML in the look of Slack, and of that a PNG by
// Chromium, light and dark. scripts/slack-picture runs it from the project's root.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed messages.json
var messages []byte

// pictures are where the documents look for them, by the theme.
var pictures = map[string]string{
	"light": "docs/slack-light.png",
	"dark":  "docs/slack-dark.png",
}

func main() {
	for theme, path := range pictures {
		if err := render(theme, path); err != nil {
			fmt.Fprintf(os.Stderr, "picture: render %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

// render writes one picture, of the right height and with messages.json's hash in it.
func render(theme, path string) error {
	dir, err := os.MkdirTemp("", "slack-picture")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	html, err := page(messages, theme)
	if err != nil {
		return err
	}
	source, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	if err := os.WriteFile(source, html, 0o644); err != nil {
		return err
	}
	// Twice the pixels, for screens that have them. The sandbox takes rights that root in a
	// container has not; the page is ours, and may load nothing.
	out, err := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=2",
		"--user-data-dir="+filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,%d", width, 1200), "--screenshot="+shot, "file://"+source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	drawn, err := os.ReadFile(shot)
	if err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	image, err := png.Decode(bytes.NewReader(drawn))
	if err != nil {
		return err
	}
	encoded, err := encode(crop(image))
	if err != nil {
		return err
	}
	stamped, err := stamp(encoded, hash(messages))
	if err != nil {
		return err
	}
	return os.WriteFile(path, stamped, 0o644)
}
