package action

// An Overwriter is an action whose repeat takes the place of what it repeats, as long
// as it begins with the same message: it names what it writes by the first message of a
// batch. Its next call, unless the user sets `concurrency`, begins only once it is on
// disk what became of the one before. So no more than that one call is repeated
// after a crash, and from the same message on, though perhaps with fewer or more behind it.
type Overwriter interface {
	Overwriter()
}
