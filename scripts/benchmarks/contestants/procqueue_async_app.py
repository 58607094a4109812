"""procqueue with a coroutine as its handler, many at once; with one at a time it is as procqueue itself."""

from protocol import awork, play

from procqueue import task

NAME = "procqueue-async"
ENVIRONMENT = "procqueue"
SETTINGS = "as it comes; a coroutine"
SURVIVES = "yes, at once"
COMMAND = "procqueue start --no-reload -c {here}/procqueue.toml --state-dir {folder}/state"
CONCURRENT = COMMAND
ALL_IN_ONE = True
MEASURES = ("nap",)

handle = task(queue="q")(awork)


def main() -> None:
    play(handle.push, lambda payloads: handle.push_many(handle.call(payload) for payload in payloads))
