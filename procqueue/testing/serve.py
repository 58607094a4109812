"""The master of one test: `python -m procqueue.testing.serve` with pickled settings on stdin."""

from __future__ import annotations

import pickle
import signal
import sys

from procqueue.core.settings.model import Settings
from procqueue.process import kernel
from procqueue.process.launch import launch


def main() -> int:
    """Run it until it is stopped, or until the test process is gone."""
    kernel.die_with_parent(signal.SIGTERM)
    settings: Settings = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    return launch(settings, reload=False)


if __name__ == "__main__":
    sys.exit(main())
