package action

import "fmt"

// AppendLine appends text as one line, with its end: line breaks and the other
// control characters but tab are written as \n, \r, \x1b, so that no text can
// forge a second line or command a terminal. Everything else stays as it is,
// backslashes too: JSON stays JSON.
func AppendLine(b []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c < ' ' && c != '\t' || c == 0x7f:
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '\n')
}
