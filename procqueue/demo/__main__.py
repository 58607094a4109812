"""`python -m procqueue.demo [--config FILE] [--messages N]`: the demonstration, of any configuration."""

from __future__ import annotations

import argparse
import sys

from procqueue.core.errors import ProcqueueError
from procqueue.demo.show import CannotShow
from procqueue.demo.stage import show


def main() -> int:
    """Run it; return 0 if the account adds up."""
    parser = argparse.ArgumentParser(prog="python -m procqueue.demo", description=__doc__)
    parser.add_argument("--config", metavar="FILE", help="a file whose app has procqueue.demo.tasks")
    parser.add_argument("--messages", metavar="N", type=int, default=20)
    arguments = parser.parse_args()
    try:
        result = show(lambda line: print(line, flush=True), arguments.config, arguments.messages)
    except (CannotShow, ProcqueueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0 if result.adds_up else 1


if __name__ == "__main__":
    sys.exit(main())
