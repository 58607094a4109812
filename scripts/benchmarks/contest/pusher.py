"""The process that pushes: the contestant's own file in its own environment, told what to do line by line."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from contest.field import Absent, Contestant

PUSH_SECONDS = 60.0


class Pusher:
    """`last_word` tells what it wrote last. What fails raises Absent."""

    def __init__(
        self,
        one: Contestant,
        folder: Path,
        environment: dict[str, str],
        said: IO[bytes],
        last_word: Callable[[], str],
    ) -> None:
        self._last_word = last_word
        self._process = subprocess.Popen(
            # Imported, not run: names of tasks must not begin with __main__.
            [str(one.bin / "python"), "-c", f"import {one.module} as one; one.main()"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,  # its end ends the process
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            self.has_many = bool(self._answer()["many"])
        except BaseException:
            self.close()
            raise

    def push(self, kind: str, count: int, rate: float = 0, many: bool = False) -> dict[str, float]:
        """Push `count` messages, `rate` a second or as fast as can be; return {"seconds", "cpu"}.

        `kind` is what is done with them (contestants/protocol.py); `many`: by the call for many, if any.
        """
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            asked = {"kind": kind, "count": count, "rate": rate, "many": many}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], PUSH_SECONDS)[0]:
            raise Absent(f"pushes take longer than {PUSH_SECONDS:g} s")
        if not (line := self._process.stdout.readline()):
            raise Absent(f"cannot push: {self._last_word()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it, so that its memory and CPU are not there. May be called twice."""
        self._process.kill()
        with contextlib.suppress(ValueError, BrokenPipeError):  # closed already; or not all was written
            self._process.communicate()
