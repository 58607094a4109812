"""procqueue beside rq, celery, dramatiq, huey, arq, taskiq, saq, streaq: speed, memory, what kill -9 costs.

Each runs with its best settings on a real Redis that is started for it, in an environment of its own
(run/bench, made once by pip; versions in contestants/versions.toml). Rounds are interleaved, a b c … a b c …;
medians and their ratios to procqueue are printed as Markdown. A whole run also writes docs/benchmarks.md and
its charts; a part of one (--quick, --only, --measure) writes the same below run/bench. Run it on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from contest import machine, report
from contest.field import CACHE, ROOT, Absent, Contestant, contestants, prepare
from contest.measures import MEASURES, Measure, Scale, rough
from contest.results import Results

QUICK_MEASURES = "drain,nap,latency,memory,kill"

#: What is measured on the way by another measure.
ALIASES = {"push": "drain", "bytes": "drain", "start": "memory"}

#: What took so long waits for a timer, and is not measured again.
TIMER_SECONDS = 2.0


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C: what was started is killed
    began = time.monotonic()
    results = Results(yardsticks=[machine.yardstick()])
    scale = Scale(0.6, 30, 2.0) if options.quick else Scale(2.0, 60, 30.0)
    field = qualify(options.field, results, scale)
    for number in range(options.rounds):
        for measure in options.measures:
            if number and number >= options.rounds - measure.spare:
                continue
            one_round(f"{number + 1}/{options.rounds}", measure, field, results, scale)
        results.yardsticks.append(machine.yardstick())
    whole = not (options.quick or options.only or options.measure)
    report.write(
        results, options.field, ROOT / "docs" if whole else CACHE, command(), time.monotonic() - began, scale
    )


def parse() -> argparse.Namespace:
    known, names = [one.name for one in MEASURES], [one.name for one in contestants()]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="scripts/bench peers"
    )
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--only", metavar="A,B", default="", help=f"of {', '.join(names)}")
    parser.add_argument("--measure", metavar="A,B", default="", help=f"of {', '.join([*known, *ALIASES])}")
    parser.add_argument(
        "--quick", action="store_true", help="about three minutes: to see that all works, not to quote"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    asked = [name for name in options.only.split(",") if name]
    wanted = options.measure or (QUICK_MEASURES if options.quick else ",".join(known))
    measures = [ALIASES.get(name, name) for name in wanted.split(",") if name]
    for name, all_names in [*((one, names) for one in asked), *((one, known) for one in measures)]:
        if name not in all_names:
            parser.error(f"{name!r} is none of {', '.join(all_names)}")
    options.field = [one for one in contestants() if not asked or one.name in asked]
    options.measures = [one for one in MEASURES if one.name in measures]
    return options


def qualify(field: list[Contestant], results: Results, scale: Scale) -> list[Contestant]:
    """Return who runs at all; why the others do not is kept in the results."""
    wrong = prepare({one.environment for one in field})
    for one in field:
        try:
            if one.environment in wrong:
                raise Absent(wrong[one.environment])
            say("try", one, f"{rough(one, scale)['rate']:,.0f}/s or so")
        except Exception as error:  # whatever is wrong with one, the others are measured
            results.out[one.name] = worded(error)
            say("try", one, worded(error))
    return [one for one in field if one.name not in results.out]


def one_round(label: str, measure: Measure, field: list[Contestant], results: Results, scale: Scale) -> None:
    for one in field:
        done = results.figures(measure.name, one.name)
        if not one.takes_part(measure.name) or (done and done[-1].get("back", 0) > TIMER_SECONDS):
            continue
        try:
            figures = measure.take(one, scale)
            results.add(measure.name, one.name, figures)
            told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
        except Exception as error:
            told = worded(error)
            results.fail(measure.name, one.name, told)
        say(f"{label} {measure.name}", one, told)


def worded(error: Exception) -> str:
    return str(error) if isinstance(error, Absent) else f"{type(error).__name__}: {error}"


def say(what: str, one: Contestant, told: str) -> None:
    print(f"{what:14} {one.name:10} {told}", file=sys.stderr, flush=True)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or math.isinf(value) else f"{value:.3g}"


def command() -> str:
    return " ".join(["scripts/bench peers", *sys.argv[1:]])


if __name__ == "__main__":
    main()
