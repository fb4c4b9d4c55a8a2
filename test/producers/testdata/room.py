"""Writes lines to standard output until one would have to wait; their number goes to standard error."""
import os
import sys

os.set_blocking(1, False)
lines = 0
try:
    while True:
        os.write(1, b"x" * 99 + b"\n")
        lines += 1
except BlockingIOError:
    print(lines, file=sys.stderr)
