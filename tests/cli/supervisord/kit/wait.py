"""A program of the kit: says what it was given, and waits."""

import json
import os
import signal
import sys

NAMES = ("STAGE", "SHARED", "COLOUR", "NUMBER", "PATHS")
given = {name: os.environ.get(name) for name in NAMES}
os.umask(mask := os.umask(0))
print(json.dumps({"arguments": sys.argv[1:], "env": given, "cwd": os.getcwd(), "umask": mask}), flush=True)
while True:
    signal.pause()
