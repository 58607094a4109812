"""The scheduler: a driver's housekeeping, in one child that runs no user code and leaves last.

Each pass: it beats for this host and watches the others (hosts.py), the dead are reclaimed, what is held
behind a slow message goes back. Each round, once a second: due messages become waiting, documents of foreign
producers are taken in, the counts for `status` are taken. It is the keeper of an SQLite store (its connection
is open from before the first consumer until after the last), and, when the master dies, the undertaker
(undertaker.py). A driver that is away makes it wait.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from procqueue.core.errors import DriverError, DriverUnavailable, Newer, Stale
from procqueue.core.exits import Exit
from procqueue.core.fate import Cause
from procqueue.core.policy import begins_once
from procqueue.core.repairs import Repair
from procqueue.core.settings.model import DriverSettings, Settings
from procqueue.core.watch import beat_interval, scheduler_patience
from procqueue.drivers.contract import MAX_ENTRIES, Complains, Driver, GateState
from procqueue.drivers.opening import open_driver
from procqueue.process import kernel, stacks
from procqueue.process.board import Board
from procqueue.process.cancels import Cancels
from procqueue.process.comparison import Comparison
from procqueue.process.holdup import HoldUp
from procqueue.process.hosts import Hosts
from procqueue.process.inbox import read_foreign
from procqueue.process.lengths import Lengths
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.process.notices import Reloads
from procqueue.process.reclaim import Death, Living, board_path, reclaim
from procqueue.process.spawn import let_signals_in
from procqueue.process.takeback import TakeBack
from procqueue.process.undertaker import Undertaker
from procqueue.process.upkeep import Upkeep

#: Housekeeping comes round at least so often; a due message is promoted at its moment.
ROUND = 1.0
#: A driver that is away is asked again at least so often.
RETRY = 2.0
#: A stop waits so long for a driver that is away: the next start finds what is not reclaimed.
STOP_PATIENCE = 2.0
#: While a consumer holds messages behind a running one, we look so often.
LOOK = 0.05

#: What a complaint of the driver is about, for `status`.
_STORE = "store"


class Scheduler:
    """One scheduler process. `run` is its whole life. `settings`: what belongs to its driver."""

    def __init__(
        self,
        settings: Settings,
        pool: str,
        id: str,
        host: str,
        boards: str,
        lifeline: Lifeline,
        poke: int,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._id = id
        self._host = host
        self._boards = boards
        self._lifeline = lifeline
        self._poke = poke
        self._log = Log(pool[1:], settings.logging.level)
        self._queues = tuple(dict.fromkeys(q for s in settings.queues.values() for q in (s.name, *s.serves)))
        self._once = {name for name, queue in settings.queues.items() if begins_once(queue)}
        self._living: dict[str, Living] = {}
        self._deaths: dict[str, Death] = {}
        self._take_back = TakeBack(boards)
        self._hold_up = HoldUp(self._living, self._log)
        self._troubled: set[str] = set()  # what the master was told to be wrong
        self._hosts = Hosts(
            host, settings.master.name, self._queues, self._once, settings.master.host_timeout,
            self._show_beat, self._apart, self._repaired, self._log,
        )  # fmt: skip
        cancels = Cancels(settings, boards, self._living, self._take_back, self._log)
        self._upkeep = Upkeep(settings, cancels, lambda: not self._hosts.seconds_left(), self._log)
        self._comparison = Comparison(self._queues, host, boards, self._repaired, self._apart, self._log)
        self._lengths = Lengths(settings.queues, self._log)
        self._reloads = Reloads(host, lifeline, self._log)
        self._stopping = False
        self._exit = Exit.OK
        self._patient_until = float("inf")  # monotonic, once it is stopping
        self._ready = False
        self._next_round = 0.0
        self._retry_in = 0.0
        self._refused = ""  # what the driver said when it refused last; it is logged once
        # Another host that finds the store again before we do must not take us for dead meanwhile.
        self._retry_most = min(RETRY, beat_interval(settings.master.host_timeout))

    def run(self) -> int:
        """Keep house until told to stop, or until the last orphan is gone."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._stop)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
            signal.signal(ignored, signal.SIG_IGN)
        stacks.listen(stacks.open_file(stacks.folder_of(os.path.dirname(self._boards))))
        let_signals_in()
        self._lifeline.say("loaded")
        self._board = Board.create(board_path(self._boards, self._id), (), self._facts())
        poll = select.poll()
        for fd in (wake_read, self._lifeline.fileno(), self._poke):
            poll.register(fd, select.POLLIN)

        def sleep(seconds: float) -> None:
            poll.poll(max(0, round(seconds * 1000)))
            _drain(wake_read)
            if _drain(self._poke):
                self._take_back.poked()
            self._hear()

        if (driver := self._open(sleep)) is not None:
            self._live(driver, sleep)
            driver.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._board.path)
        return self._exit

    def _open(self, sleep: Callable[[float], None]) -> Driver | None:
        """Open the driver as soon as that can be done; None if we have to leave before."""
        while not (self._stopping or self._lifeline.ended):
            self._show_beat()
            try:
                driver = open_driver(self._patient_settings(), keeper=True)
            except (DriverError, OSError) as error:
                pause = self._pause_after(error)
                if pause is None:
                    return None
                sleep(pause)
            else:
                self._retry_in = 0.0
                return driver
        return None

    def _live(self, driver: Driver, sleep: Callable[[float], None]) -> None:
        while not self._is_done():
            pause = self._pass(driver)
            if pause is None:
                return
            sleep(pause)
            if self._lifeline.ended:
                undertaker = Undertaker(self._settings, self._living, self._deaths, self._boards, self._log)
                self._take_back.poked()  # nobody should wait for what is held behind a last message
                undertaker.run(
                    lambda: self._keep_house_of_orphans(driver), lambda death: self._reclaim(driver, death)
                )
                self._retry_in = 0.0  # it has stayed until the driver did all that was left
                break
        if not self._retry_in:  # a driver that is away would make it wait once more
            self._hosts.leave(driver)

    def _is_done(self) -> bool:
        """True if it was told to stop, and every death that it knows of is reclaimed, or cannot be."""
        if not self._stopping:
            return False
        self._hear()  # the signal may have overtaken the news of the last death
        self._patient_until = min(self._patient_until, time.monotonic() + STOP_PATIENCE)
        is_away = self._retry_in or self._troubled
        if self._deaths and is_away and time.monotonic() >= self._patient_until:
            self._log.warning("left_unreclaimed", consumers=len(self._deaths), until="the next start")
            return True
        return not self._deaths

    def _stop(self, _signum: int, _frame: object) -> None:
        self._stopping = True

    def _pass(self, driver: Driver) -> float | None:
        """Do what is due; return the seconds until the next pass, None if it cannot go on."""
        try:
            self._beat(driver)
            self._reclaim_all(driver)
            self._reloads.leave(driver)
            held = self._take_back.look(driver, self._living)
            pause = self._keep_house(driver)
            self._retry_in = 0.0
            self._hold_up.passed()
            return min(pause, LOOK) if held else pause
        except (DriverError, OSError) as error:  # OSError: no descriptor or memory for a board
            self._hosts.failed()
            return self._pause_after(error)

    def _pause_after(self, error: DriverError | OSError) -> float | None:
        """Tell what is wrong; return the seconds until it is worth another try, None if it is not."""
        match error:
            case Newer():
                self._log.error("newer_layout", text=str(error))
                self._lifeline.say("problem", about="driver", text=str(error))
                self._exit = Exit.UNREACHABLE
                return None
            case Stale():
                self._log.error("stale", text=str(error))
                self._lifeline.say(
                    "note", about="driver", text=str(error)
                )  # for a problem it is over too soon
                self._exit = Exit.DISOWNED
                return None
        if isinstance(error, DriverUnavailable) and error.holder:
            self._hold_up.saw(error.holder)
        refused = "" if isinstance(error, DriverUnavailable) else str(error)
        if not self._retry_in or refused != self._refused:
            self._log.warning("driver_away", text=str(error), retry="until it is back")
        self._refused = refused
        self._lifeline.say("problem", about="driver", text=str(error))
        self._comparison.soon()
        self._retry_in = min(self._retry_most, self._retry_in * 2 or 0.1)
        return self._retry_in * (1 + 0.2 * random.random())

    def _keep_house(self, driver: Driver) -> float:
        """Beat, and make the round, if they are due; return the seconds until more is."""
        try:
            self._beat(driver)
            now = time.monotonic()
            if now >= self._next_round:
                self._next_round = now + self._housekeeping(driver)
        except DriverError:
            self._hosts.failed()
            raise
        return max(0.0, min(self._next_round - time.monotonic(), self._hosts.seconds_left()))

    def _keep_house_of_orphans(self, driver: Driver) -> float:
        held = self._take_back.look(driver, self._living)
        pause = self._keep_house(driver)
        return min(pause, LOOK) if held else pause

    def _beat(self, driver: Driver) -> None:
        """Beat for this host, and look at the others, if it is time; in between of whatever takes long."""
        known = self._hosts.disowned
        self._hosts.turn(driver)
        if self._hosts.disowned and not known:
            self._lifeline.say("host_lost", host=self._host)

    def _repaired(self, kind: Repair, number: int) -> None:
        """Let the master count what a store had lost, or had again."""
        self._lifeline.say("repaired", kind=kind, number=number)

    def _show_beat(self) -> None:
        """Show the master that this loop turns (lookout.py)."""
        self._board.set_beat(time.monotonic_ns() // 1_000_000)

    def _housekeeping(self, driver: Driver) -> float:
        """Make one round over all queues; return the seconds until the next."""
        soonest = ROUND
        counts: dict[str, Any] = {}
        paused: dict[str, Any] = {}
        gates: dict[str, Any] = {}
        oldest: dict[str, float] = {}
        marks: dict[str, Any] = {}
        for queue in self._queues:
            with self._apart(queue):
                soonest = min(soonest, self._keep(driver, queue))
                found = driver.counts(queue)
                counts[queue] = {name: getattr(found, name) for name in found.__slots__}
                self._lengths.saw(driver, queue, found.waiting, tells=self._hosts.is_first(queue))
                self._upkeep.look_after(driver, queue, found)
                if found.waiting:
                    oldest[queue] = (driver.oldest_ms(queue) or 0) / 1000
                if pause := driver.paused(queue):
                    until = None if pause.until_ms is None else pause.until_ms / 1000
                    paused[queue] = (pause.since_ms / 1000, until)
                gate = driver.gate(queue)
                if gate.state is not GateState.OPEN:
                    gates[queue] = (gate.state, (gate.since_ms or 0) / 1000)
                mark = driver.restart_mark(queue)
                marks[queue] = None if mark is None else (mark.at_ms, mark.age_ms / 1000)
            self._beat(driver)
        soonest = min(soonest, self._upkeep.crontab.seconds_left())
        self._lifeline.say(
            "counts", counts=counts, paused=paused, gates=gates, oldest=oldest, at=time.time(),
            crons=self._upkeep.crontab.next_ticks(), restarts=marks,
        )  # fmt: skip
        self._look_for_complaints(driver)
        if not self._ready:
            self._ready = True
            self._lifeline.say("ready")
        if self._comparison.is_due and not self._lifeline.ended:
            self._lifeline.say("who_lives", known=self._comparison.known(driver))
        return soonest

    def _keep(self, driver: Driver, queue: str) -> float:
        """Promote what is due and take the inbox in; return the seconds until the next message is due."""
        promoted = driver.promote(queue)
        while promoted.moved == MAX_ENTRIES:
            if not self._hosts.seconds_left():
                return 0.0  # beat first: there may be a million of them
            promoted = driver.promote(queue)
        for taken, pushed in driver.take_inbox(queue, read_foreign):
            self._log.debug("inbox", queue=queue, id=taken.entry.id, outcome=pushed)
        return ROUND if promoted.next_in_ms is None else promoted.next_in_ms / 1000 + 0.001

    @contextlib.contextmanager
    def _apart(self, queue: str) -> Iterator[None]:
        """Let what is wrong with one queue (a key of another type) not keep the others from being served."""
        about = f"driver, {queue}"
        try:
            yield
            if about in self._troubled:
                self._troubled.discard(about)
                self._lifeline.say("solved", about=about)
        except (DriverUnavailable, Newer, Stale):
            raise
        except DriverError as error:
            self._troubled.add(about)
            self._lifeline.say("problem", about=about, text=str(error))

    def _look_for_complaints(self, driver: Driver) -> None:
        """Tell what is not well with a store that answers."""
        if not isinstance(driver, Complains):
            return
        if text := driver.complaint():
            self._troubled.add(_STORE)
            self._lifeline.say("problem", about=_STORE, text=text)
        elif _STORE in self._troubled:
            self._troubled.discard(_STORE)
            self._lifeline.say("solved", about=_STORE)

    def _reclaim_all(self, driver: Driver) -> None:
        for death in list(self._deaths.values()):
            with self._apart(",".join(death.queues)):
                self._reclaim(driver, death)
            self._beat(driver)
        self._comparison.settle(driver)

    def _reclaim(self, driver: Driver, death: Death) -> None:
        reclaim(driver, self._boards, death, self._once, self._log)
        self._living.pop(death.consumer, None)
        self._take_back.forget(death.consumer)
        self._deaths.pop(death.consumer, None)
        self._comparison.reclaimed(death.consumer)
        self._lifeline.say("reclaimed", consumer=death.consumer)

    def _hear(self) -> None:
        for message in self._lifeline.hear():
            match message["say"]:
                case "born":
                    queues = tuple(message["queues"])
                    one = Living(
                        message["consumer"], message["pid"], message["start_time"], message["pool"], queues
                    )
                    self._living[one.consumer] = one
                case "dead":
                    cause = Cause(message["cause"])
                    death = Death(
                        message["consumer"],
                        tuple(message["queues"]),
                        cause,
                        message["overdue"],
                        message["detail"],
                    )
                    self._deaths[death.consumer] = death
                case "living":
                    dead = self._comparison.found_dead(
                        message["known"], set(message["consumers"]), self._deaths
                    )
                    self._deaths |= {death.consumer: death for death in dead}
                case "reloaded":
                    self._reloads.told(message["queue"], message["generation"])
                case "count":
                    self._next_round = 0.0

    def _patient_settings(self) -> DriverSettings:
        """Return how to open the driver: no call may take so long that this process is taken for stuck."""
        driver, most = self._settings.driver, scheduler_patience(self._settings.master.host_timeout) / 2
        return replace(
            driver, timeout=min(driver.timeout, most), connect_timeout=min(driver.connect_timeout, most)
        )

    def _facts(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "consumer": self._id, "host": self._host, "pool": self._pool, "index": 0, "generation": 1,
            "pid": pid, "start_time": kernel.start_time_of(pid), "boot_id": kernel.boot_id(),
        }  # fmt: skip


def _drain(fd: int) -> bool:
    """Read what has come; True if anything had."""
    try:
        return bool(os.read(fd, 4096))
    except BlockingIOError:
        return False
