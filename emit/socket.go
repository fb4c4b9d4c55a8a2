package emit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socket is the connection to journald's native socket. It is connected, so that a
// write waits for room in journald's queue, and not for anything else.
type socket struct {
	path string

	mu      sync.Mutex
	conn    *net.UnixConn // nil before the first write, and after a failure
	stopped bool
}

// errEntry is a failure for which the entry itself is the reason.
var errEntry = errors.New("the entry cannot be sent")

// write sends one entry. It waits as long as journald takes nothing, unless it is
// stopped.
func (s *socket) write(entry []byte) error {
	conn, err := s.connect()
	if err != nil {
		return err
	}
	_, err = conn.Write(entry)
	if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
		err = sendFile(conn, entry)
	}
	if err != nil {
		s.close()
	}
	return err
}

func (s *socket) connect() (*net.UnixConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, net.ErrClosed
	}
	if s.conn != nil {
		return s.conn, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	// What libsystemd asks for (journal_fd in its journal-send.c); the kernel gives less
	// (net.core.wmem_max), and what is larger goes by a file.
	conn.SetWriteBuffer(8 << 20)
	s.conn = conn
	return conn, nil
}

func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// stop ends a write that waits, and all later ones.
func (s *socket) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.conn != nil {
		s.conn.SetWriteDeadline(time.Unix(0, 1))
	}
}

// sendFile sends an entry that is too large for a datagram as a sealed file in memory.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/#sending-messages-larger-than-the-datagram-size-limit
//
// The file's memory counts for nobody's buffer, so it waits until journald has taken all
// that was sent before: one file at most is on its way.
func sendFile(conn *net.UnixConn, entry []byte) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Write(allTaken); err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("%w: make a file in memory: %w", errEntry, err)
	}
	file := os.NewFile(uintptr(fd), "journal-entry")
	defer file.Close()
	if _, err := file.Write(entry); err != nil {
		return fmt.Errorf("%w: write a file in memory: %w", errEntry, err)
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("%w: seal a file in memory: %w", errEntry, err)
	}
	// WriteMsgUnix refuses to send no data at all to a connected socket.
	var sent error
	err = raw.Write(func(to uintptr) bool {
		sent = unix.Sendmsg(int(to), nil, unix.UnixRights(fd), nil, 0)
		return sent != unix.EAGAIN && sent != unix.EINTR
	})
	switch {
	case err != nil: // of the connection, as where Close waits no longer
		return err
	case sent == nil || receiverGone(sent):
		return sent
	}
	// The receiver or a security module wants no files, or too many are on their way: what
	// is behind this entry is not to wait for that.
	return fmt.Errorf("%w: send a file in memory: %w", errEntry, sent)
}

// allTaken says whether the receiver has taken everything that was sent. The kernel tells
// of room in the socket whenever it has taken something.
func allTaken(fd uintptr) bool {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	// While the kernel tells of room, a byte of what it frees still counts (sock_wfree).
	return err != nil || n <= 1
}

// receiverGone says whether a socket's peer is there no more.
func receiverGone(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EPIPE)
}
