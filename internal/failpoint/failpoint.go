// Package failpoint kills the process at a named step of its work, for the tests
// that see what a crash there does.
//
// A point is named after what is being done and how far that is, as
// "settle.commit". It does nothing unless the program is built with
// -tags failpoints, and the environment asks for it:
//
//	JOURNALD_ROUTER_FAILPOINT=settle.commit:3   die when this is hit for the third time
package failpoint
