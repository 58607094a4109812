"""One consumer, from the fork to the last settlement. The loop reads as a sentence: see `_work`.

It is made of what takes in (intake.py), what runs (executor.py), and the ledger between them (settle.py),
whose verdicts leave with the next turn. It finishes what it runs on TERM and INT from anyone, and when the
master's end of the lifeline is gone (laws S8, S11); only SIGKILL ends it sooner.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from procqueue import producer
from procqueue.core.errors import DriverError, DriverUnavailable, Gone, Newer, Stale, Unknown
from procqueue.core.events import Reason
from procqueue.core.exits import Exit
from procqueue.core.settings.model import QueueSettings, Settings
from procqueue.drivers.contract import Driver
from procqueue.drivers.opening import open_driver
from procqueue.process import kernel, stacks
from procqueue.process.application import become_what_is_asked, import_application, modules_of
from procqueue.process.board import Board, Doing
from procqueue.process.code import Beginning, told_of_code
from procqueue.process.consumer import ends
from procqueue.process.consumer.burst import Burst, Stint
from procqueue.process.consumer.clock import Run
from procqueue.process.consumer.executor import Executor
from procqueue.process.consumer.identity import Identity as Identity
from procqueue.process.consumer.intake import FAIR_SECONDS, Held, Intake
from procqueue.process.consumer.lastresort import LastResort
from procqueue.process.consumer.limits import Limits
from procqueue.process.consumer.settle import Ledger
from procqueue.process.consumer.shares import Shares
from procqueue.process.consumer.standing import Standing
from procqueue.process.consumer.wake import Interrupts
from procqueue.process.handed import Handed
from procqueue.process.lifeline import Lifeline
from procqueue.process.log import Log
from procqueue.process.reclaim import board_path
from procqueue.process.spawn import let_signals_in
from procqueue.tasks.telling import tell_of_consumer

T = TypeVar("T")

#: One that takes nothing more waits so long for its successor. Longer would help nobody: it does no work,
#: and what it holds (a lock, a transaction of a handler that timed out) may be what the successor waits for.
_SUCCESSOR_SECONDS = 5.0
#: An idle consumer asks the driver again at least so often.
_IDLE_SECONDS = 5.0


class Consumer:
    """One consumer process. `run` is its whole life.

    `preloaded`: the template that forked it has imported the application. `handed`: what it may
    not open itself, as another user. `paused`: queues of which this host takes no messages at present.
    """

    def __init__(
        self,
        settings: Settings,
        queue: QueueSettings,
        identity: Identity,
        boards: str,
        lifeline: Lifeline,
        poke: int,
        burst: Burst | None = None,
        *,
        paused: Collection[str] = (),
        preloaded: bool = False,
        handed: Handed | None = None,
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._identity = identity
        self._boards = boards
        self._lifeline = lifeline
        self._poke = poke
        self._preloaded = preloaded
        self._handed = handed
        self._log = Log(f"{identity.pool}:{identity.index}", settings.logging.level)
        self._last_resort = LastResort()
        self._interrupts = Interrupts(lifeline, self._be_orphan, paused)
        self._board: Board | None = None
        self._ledger = Ledger()
        self._limits = Limits(queue, random.random())
        self._stint = Stint(burst, identity.consumer, identity.host) if burst else None
        self._spent: Reason | None = None
        self._troubled = False  # the driver refused what should have worked, and the master was told
        self._away = False  # the driver did not do what it was last asked
        self._forgotten = False  # by a store that lost its memory
        self._full = False  # takes nothing more: waits for its successor …
        self._leave_at = float("inf")  # … until then
        self._is_busy = False  # what the board says

    def run(self) -> int:
        """Live; return the exit code."""
        # Until it is registered it owns nothing: TERM ends even an import that hangs.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda _signum, _frame: os._exit(0))
        stacks.listen(
            self._handed.stacks
            if self._handed
            else stacks.open_file(stacks.folder_of(os.path.dirname(self._boards)))
        )
        kernel.become_subreaper()
        began = Beginning.now()
        if not self._preloaded and not self._load():
            return Exit.CANNOT_IMPORT
        let_signals_in()
        self._lifeline.say("loaded")
        producer.adopt(self._settings)
        if not ends.set_up(self._queue, self._lifeline, self._log):
            return Exit.CANNOT_IMPORT
        try:
            driver = self._patiently(lambda: open_driver(self._settings.driver_of(self._queue.name)))
        except Newer as error:
            self._lifeline.say("problem", text=str(error))
            return Exit.UNREACHABLE
        if driver is None:
            return Exit.OK  # told to leave before it could begin
        path = board_path(self._boards, self._identity.consumer)
        own = {**self._identity.facts(), "driver": self._queue.driver}
        facts = (self._queue.serves, own, self._queue.concurrency)
        board = Board.fill(path, self._handed.board, *facts) if self._handed else Board.create(path, *facts)
        self._board = board
        if self._last_resort.missing:
            self._log.warning("no_kernel_timer", text=self._last_resort.missing)
        self._executor = Executor(
            self._settings, self._queue, self._identity.consumer, board, self._interrupts, self._last_resort,
            self._log,
        )  # fmt: skip
        limits = {name: self._settings.queues[name].max_running for name in self._queue.serves}
        self._standing = Standing(
            driver, self._identity.consumer, self._identity.host, limits, board, self._lifeline, self._log
        )
        shares = Shares(self._queue.serves, self._queue.weights)
        self._intake = Intake(
            driver, self._standing, self._queue.serves, shares, board, self._ledger, self._executor.expect,
            self._executor.running, self._executor.rest, self._interrupts, self._poke, self._log,
        )  # fmt: skip
        try:
            if self._patiently(self._register) is not None:
                self._lifeline.say("ready")
                tell_of_consumer("consumer_started", self._queue.name, self._identity.consumer)
                if not self._preloaded:
                    told_of_code(self._lifeline, self._settings.root, began)
                self._work(driver, board)
                self._leave()
            return Exit.OK
        except Gone as error:  # reclaimed: whatever we held is not ours any more
            self._log.warning("disowned", text=str(error))
            return Exit.DISOWNED
        except Stale as error:
            self._log.error("stale", text=str(error))
            return Exit.DISOWNED
        except Newer as error:
            self._lifeline.say("problem", text=str(error))
            return Exit.UNREACHABLE

    def _load(self) -> bool:
        self._interrupts.ignore_others()
        let_signals_in()
        if not become_what_is_asked(self._queue, self._lifeline, signal.SIGTERM):
            return False
        modules = modules_of(self._settings, self._queue)
        return import_application(self._settings.path, modules, self._lifeline, self._log)

    def _work(self, driver: Driver, board: Board) -> None:
        """Begin as many as there are places for, settle what has ended; wait where there is nothing to do."""
        while not self._interrupts.stopping:
            if self._executor.running():
                self._gather(board)
                if self._executor.free() < 1:
                    self._wait_for_place()
                    continue
            held = self._intake.begin() or self._patiently(self._take)
            if held is not None:
                if not self._is_busy:
                    self._is_busy = True
                    board.set_doing(Doing.BUSY)
                if (run := self._executor.start(held)) is not None:
                    self._note_end(board, run)
            elif self._is_done(driver):
                return
            else:
                self._idle(driver, board)
        self._finish(board)

    def _take(self) -> Held | None:
        return self._intake.next(self._room(), self._executor.free())

    def _room(self) -> int:
        """Return how many messages may be taken in now."""
        if self._full:
            return 0
        begun = self._executor.running()
        room = self._limits.room(begun)
        return room if self._stint is None else self._stint.room(room, begun)

    def _gather(self, board: Board) -> None:
        """Note what has ended elsewhere."""
        for run in self._executor.ended():
            self._note_end(board, run)

    def _note_end(self, board: Board, run: Run) -> None:
        settlement = run.settlement
        assert settlement is not None
        self._intake.ended(run.held, settlement)
        self._intake.pace.note(run.ended_at - run.began)
        self._count(board, run)
        if self._stint is not None and not self._stint.note(run.held.reservation, settlement):
            self._lifeline.say("bad_run")

    def _wait_for_place(self) -> None:
        """Wait for the end of a run; settle what has ended before, unless something ends soon."""
        ends = self._executor.descriptors()
        self._interrupts.clear()
        self._intake.mind_pauses()
        if self._interrupts.stopping:
            return
        if self._executor.is_full:
            self._patiently(lambda: self._intake.stock(self._room()))
        if self._ledger.queues():
            if self._interrupts.wait(FAIR_SECONDS, ends):
                return
            self._patiently(self._settle_all)
        self._interrupts.wait(_IDLE_SECONDS, ends)
        self._mind_limits()

    def _finish(self, board: Board) -> None:
        """Let end what runs, and take nothing more."""
        self._intake.give_back()
        while True:
            self._gather(board)
            if not self._executor.running():
                return
            self._patiently(self._settle_all)
            self._interrupts.wait(1.0, self._executor.descriptors())

    def _is_done(self, driver: Driver) -> bool:
        """True if this is a burst and nothing is left to do; the master is told, so that nobody follows."""
        stint = self._stint
        if stint is None:
            return False
        if not stint.over:
            if self._full or self._executor.running() or not self._patiently(self._settle_all):
                return False  # the successor goes on
            if not self._patiently(lambda: stint.is_empty(driver, self._queue.serves)):
                return False
        self._lifeline.say("finished")
        return True

    def _idle(self, driver: Driver, board: Board) -> None:
        """Settle what is finished, then wait: for a message, a signal, or the master's end."""
        self._patiently(self._settle_all)
        if not self._executor.running():
            self._is_busy = False
            board.set_doing(Doing.IDLE)
        self._interrupts.clear()
        if self._interrupts.stopping:
            return
        seconds = min(_IDLE_SECONDS, self._limits.seconds_left())
        if self._stint is not None:
            seconds = min(seconds, self._stint.seconds_left())
        if self._full:
            self._interrupts.wait(max(0.0, self._leave_at - time.monotonic()), self._executor.descriptors())
            if time.monotonic() >= self._leave_at:
                self._interrupts.stopping = True
        else:
            also = [*self._interrupts.descriptors(), *self._executor.descriptors()]
            open_queues = [name for name in self._queue.serves if name not in self._interrupts.paused]
            self._patiently(lambda: driver.wait(open_queues, seconds, also))
            self._interrupts.clear()
            self._mind_limits()

    def _count(self, board: Board, run: Run) -> None:
        self._limits.handled += 1
        board.set_handled(self._limits.handled)
        if self._limits.handled == 1:
            self._lifeline.say("worked")
        if run.is_shaken and self._queue.after_timeout == "recycle":
            # An exception out of nowhere may have left any library in any state (law D14).
            self._ask_successor(Reason.TIMEOUT, full=True)
        elif not self._limits.is_set:
            return
        elif self._limits.over_memory():
            self._ask_successor(Reason.MAX_MEMORY, full=True)
        else:
            self._mind_limits()

    def _mind_limits(self) -> None:
        if reached := self._limits.reached():
            self._ask_successor(reached, full=True)
        elif nearly := self._limits.nearly():
            self._ask_successor(nearly, full=False)

    def _ask_successor(self, reason: Reason, *, full: bool) -> None:
        self._executor.rest()  # the lifeline's descriptor must be ours
        if self._spent is None:
            self._spent = reason
            self._lifeline.say("spent", reason=reason)
        if full and not self._full:
            self._full = True
            self._leave_at = time.monotonic() + _SUCCESSOR_SECONDS
            self._intake.give_back()

    def _leave(self) -> None:
        """Hand everything in and go; keep trying while the driver is away, the master's patience ends it.

        Who has nothing to hand in does not wait for the driver: the scheduler strikes it off the list.
        """
        self._lifeline.say("leaving", reason=self._spent or Reason.STOP)
        self._intake.give_back()
        while self._ledger.queues() or not self._away:
            try:
                self._settle_all()
                self._standing.leave()
                break
            except Unknown:
                self._forgotten = True
            except (Gone, Newer, Stale):
                raise
            except DriverError:
                self._away = True
                if self._ledger.queues():
                    time.sleep(0.2)
        tell_of_consumer("consumer_left", self._queue.name, self._identity.consumer)
        self._executor.close()
        ends.tear_down(self._log)
        for left in kernel.descendants_of(os.getpid()):
            kernel.send(left, signal.SIGKILL)  # if the master is dead, nobody else would

    def _be_orphan(self) -> None:
        """Make sure of an end at grace: the undertaker may be dead too (law S8)."""
        if self._board is not None:
            grace = self._queue.effective_grace(self._settings.master.grace)
            self._last_resort.for_good(grace, self._board.set_end)

    def _settle_all(self) -> bool:
        if self._forgotten:
            self._intake.write_off()
        else:
            self._intake.settle()
        return True

    def _register(self) -> bool:
        self._standing.register()
        return True

    def _register_anew(self) -> None:
        """Go on with a store that has never heard of us (law D5). What we ran is not ours any more."""
        self._intake.write_off()
        self._standing.register_anew()
        self._forgotten = False

    def _patiently(self, do: Callable[[], T]) -> T | None:
        """Call the driver until it answers or we are told to leave; nothing is lost meanwhile."""
        pause = 0.05
        refused = ""
        while True:
            try:
                if self._forgotten:
                    self._register_anew()
                answer = do()
                self._away = False
                if self._troubled:
                    self._troubled = False
                    self._lifeline.say("solved")
                return answer
            except DriverUnavailable as error:
                self._note_away(error, first=pause == 0.05)
            except (Gone, Newer, Stale):
                raise
            except Unknown:
                self._forgotten = True
            except DriverError as error:
                if str(error) != refused:
                    refused = str(error)
                    self._log.error("driver_refuses", text=refused)
                self._lifeline.say("problem", text=str(error))
                self._troubled = True
            self._away = True
            self._interrupts.wait(pause * (1 + 0.2 * random.random()))
            if self._interrupts.stopping:
                return None
            pause = min(5.0, pause * 2)

    def _note_away(self, error: DriverUnavailable, *, first: bool) -> None:
        if self._board is not None:  # else the driver is not even open
            self._standing.doubt()
        if first:
            self._log.warning("driver_away", text=str(error), retry="until it is back")
        if isinstance(error.__cause__, PermissionError):  # it will not pass by itself
            self._lifeline.say("problem", text=f"uid {os.geteuid()} may not open it: {error}")
            self._troubled = True
