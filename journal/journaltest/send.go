package journaltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/journal"
)

// A Client logs to the journald of a namespace. Its methods may be called by
// several goroutines.
type Client struct {
	sockets string // directory

	mu   sync.Mutex
	conn *net.UnixConn // native protocol; nil until needed
}

// NewClient returns a client for the journald of that namespace. It connects
// when it is used.
func NewClient(namespace string) *Client {
	return &Client{sockets: "/run/systemd/journal." + namespace}
}

// Disconnect closes the connection. The next call makes a new one, which is
// wanted when journald has been started again.
func (c *Client) Disconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Send logs one entry with these fields by the native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): a name may occur several
// times, and a value be any bytes. journald adds its own fields and drops names
// it does not like, those beginning with an underscore above all. The entry can
// be read a moment later: see Sync.
func (c *Client) Send(fields ...journal.Field) error {
	var b bytes.Buffer
	for _, f := range fields {
		writeField(&b, f)
	}
	if err := c.send(b.Bytes()); err != nil {
		return fmt.Errorf("send to journald: %w", err)
	}
	return nil
}

// Print logs one entry with this message.
func (c *Client) Print(message string) error {
	return c.Send(journal.Field{Name: journal.FieldMessage, Value: []byte(message)})
}

// writeField writes a field in the form that the native protocol and the export
// format share: with a length, which suits any value.
func writeField(b *bytes.Buffer, f journal.Field) {
	b.WriteString(f.Name)
	b.WriteByte('\n')
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(f.Value)))
	b.Write(n[:])
	b.Write(f.Value)
	b.WriteByte('\n')
}

func (c *Client) send(datagram []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: filepath.Join(c.sockets, "socket"), Net: "unixgram"})
		if err != nil {
			return err
		}
		c.conn = conn
	}
	_, err := c.conn.Write(datagram)
	if errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, syscall.ENOBUFS) {
		return c.sendFile(datagram)
	}
	return err
}

// sendFile sends what is too large for a datagram in a sealed memory file.
func (c *Client) sendFile(content []byte) error {
	fd, err := unix.MemfdCreate("journal-entry", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "journal-entry")
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	seals := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	// WriteMsgUnix refuses to send no data at all to a connected socket.
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(conn uintptr) bool {
		sent = unix.Sendmsg(int(conn), nil, unix.UnixRights(int(f.Fd())), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// Stdout opens a stream whose lines are logged as those of a service's standard
// output are, under this identifier. It can be a command's standard output. The
// caller closes it.
//
// What is written between journald's accepting the stream and its asking the
// kernel for the senders (SO_PASSCRED) is nobody's, and a line goes no further
// than its sender: Sync first, where one line is written in several pieces.
func (c *Client) Stdout(identifier string) (*os.File, error) {
	return c.UnitStdout("", identifier)
}

// UnitStdout is Stdout for a unit, as systemd opens it for one: journald's rate
// limit applies. Where this process is in the cgroup of a unit, it is that
// unit's all the same. Now and then journald takes the stream for nobody's: try
// again with another after a second.
func (c *Client) UnitStdout(unit, identifier string) (*os.File, error) {
	f, err := c.stdout(unit, identifier)
	if err != nil {
		return nil, fmt.Errorf("open stream to journald: %w", err)
	}
	return f, nil
}

func (c *Client) stdout(unit, identifier string) (*os.File, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(c.sockets, "stdout"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Identifier, unit, priority, whether lines begin with "<N>", and whether to
	// forward to syslog, the kernel's log and the console: sd_journal_stream_fd(3).
	if _, err := fmt.Fprintf(conn, "%s\n%s\n6\n1\n0\n0\n0\n", identifier, unit); err != nil {
		return nil, err
	}
	return conn.File()
}
