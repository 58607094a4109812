"""A proxy that cuts the connection of some pushes: after they were stored, before their answer is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.drivers.redis_support import Proxy


class Cutting(Proxy):
    """`is_cut` is asked with the number (from 1) of each push that comes by, repeats included.

    `meanwhile` is called between a push that was stored and the cut. For pushes that wait for each answer.
    """

    def __init__(self, directory: Path, target: str) -> None:
        self.pushes = 0
        self.is_cut: Callable[[int], bool] = lambda _: False
        self.meanwhile: Callable[[], None] = lambda: None
        self._cuts = False
        super().__init__(directory, target)
        self.on_request = self._look
        self.on_reply = self._pass

    def _look(self, data: bytes) -> bytes:
        if b"EVAL" in data:  # EVALSHA as well; connecting is none
            self.pushes += 1
            self._cuts = self.is_cut(self.pushes) or self._cuts  # after NOSCRIPT the push comes again
        return data

    def _pass(self, data: bytes) -> bytes | None:
        if not self._cuts or data.startswith(b"-NOSCRIPT"):
            return data
        self._cuts = False
        self.meanwhile()
        return None
