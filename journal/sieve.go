package journal

// A Sieve lets a reader pass over entries that nobody can want, before they cost
// anything: an entry goes through if any of the tests holds for any value of its
// field. It may let through more than is wanted, but never less. Without tests it lets
// everything through.
type Sieve []Test

// A Test is one of a Sieve. Text is not empty but for Equal.
type Test struct {
	Field string
	Op    Op
	Text  string
}

// Op is how a Test compares a value with its text, byte for byte.
type Op int

// The value begins with the text, is equal to it, or contains it.
const (
	Prefix Op = iota
	Equal
	Contains
)
