"""Logs while journald is stopped, tells of it, and goes on once there is a line to read."""
import json
import logging
import resource
import socket
import sys
import threading
import time

from tojournal import JournalHandler

journal = JournalHandler("shop")
# No more than a kernel gives whose net.core.wmem_max nobody has raised.
journal._entries.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 212992)
logging.basicConfig(level=logging.INFO, handlers=[journal])
log = logging.getLogger()
log.info("begin")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def work():
    for i in range(5000):
        log.info("line %d", i, extra={"NUMBER": i})


for i in range(25):
    log.info("large " * 200_000)
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
sent = 1 + 25 + 4 * 5000
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
print(json.dumps({"dropped": journal.dropped, "grown": grown}), flush=True)

sys.stdin.readline()
log.info("again")
sent += 1
while journal.dropped:
    time.sleep(0.01)
    log.info("again")
    sent += 1
print(json.dumps({"sent": sent}), flush=True)
