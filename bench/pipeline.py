# The article's design: a process of its own that filters journalctl's JSON.
import json
import sys

found = 0
for line in sys.stdin:
    message = json.loads(line).get("MESSAGE")
    if isinstance(message, str) and message.startswith("SLACK: "):
        found += 1
print(found)
