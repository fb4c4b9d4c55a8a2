import logging
import os
import socket

from tojournal import JournalHandler

journal = JournalHandler("shop")
# No more than a kernel gives whose net.core.wmem_max nobody has raised.
journal._entries.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 212992)
logging.basicConfig(handlers=[journal])
log = logging.getLogger()
log.warning("two\nlines", extra={"LINES": "a\nPRIORITY=0", "BYTES": b"\0\xff\n", "lower": 1, "A\nB": 1, "NONE": None})
log.warning("\udc80 is no character")
log.warning("%d is no number", "x")
log.warning("large " * 500_000, extra={"AFTER": "that"})
log.warning("x" * (5 << 20))  # too large
log.warning("next")
if os.fork() == 0:
    log.warning("child")
    os._exit(0)
os.wait()
log.warning("end")
