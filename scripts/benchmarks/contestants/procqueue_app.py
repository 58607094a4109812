"""procqueue: the master and its consumers, as its README starts them; nothing tuned."""

from protocol import play, work

from procqueue import task

NAME = "procqueue"
ENVIRONMENT = "procqueue"
SETTINGS = "as it comes"
SURVIVES = "yes, at once"
COMMAND = "procqueue start --no-reload -c {here}/procqueue.toml --state-dir {folder}/state"
CONCURRENT = COMMAND
ALL_IN_ONE = True

handle = task(queue="q")(work)


def many(payloads: list[str]) -> None:
    handle.push_many(handle.call(payload) for payload in payloads)


def main() -> None:
    play(handle.push, many)
