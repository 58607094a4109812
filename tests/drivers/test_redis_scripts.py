"""What the scripts keep beside the laws of the contract: wrong types, foreign bytes, versions, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from procqueue.core.errors import DriverError, Newer
from procqueue.core.message import Charge, Counters, State
from procqueue.core.traits import Traits
from procqueue.core.verdict import ACK, UNTOUCHED, Kind, Settlement, Verdict
from procqueue.drivers.contract import LAYOUT, MAX_HISTORY, MAX_NOTICES, Entry, GateState, Lane, TakenIn
from procqueue.drivers.redis import RedisDriver
from procqueue.drivers.redis.scripts import KEYS, PARTS, script
from procqueue.drivers.upkeep import Tick
from tests.drivers.redis_support import dump, key, opened, push, queue_name, raw, settled, sweep
from tests.servers import kinds, redis_url, start_server

CONSUMER = "h/emails:0"
FAILED = Verdict(Kind.FAIL, Charge.ATTEMPT)


@pytest.fixture(params=kinds(), scope="module")
def url(request: pytest.FixtureRequest) -> str:
    return redis_url(request.param)


@pytest.fixture
def driver(url: str) -> Iterator[RedisDriver]:
    with opened(url) as driver:
        yield driver


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with raw(url) as client:
        yield client


@pytest.fixture
def queue(client: Any) -> Iterator[str]:
    name = queue_name()
    yield name
    sweep(client, name)


def furnish(driver: RedisDriver, client: Any, queue: str) -> list[Settlement]:
    """Put something into every key; return one settlement of each kind for what is owned."""
    driver.register(queue, CONSUMER, "h")
    driver.reclaim(queue, "dead", [])
    push(driver, queue, *"abcdefgh")
    driver.push(queue, [Entry(id, b"{}", remember_ms=9_000) for id in "ijk"], Lane("s", 1))
    driver.forget(queue, ["k"])
    client.rpush(key(queue, "inbox"), b"document")
    driver.push_tick(queue, "c", Tick(1_000, "s", "c@1"), None, alone=True)
    first = driver.turn(queue, CONSUMER, [], 4)
    endings = [
        Settlement(first.taken[0].id, first.taken[0].ticket, FAILED, b'{"n":1}', b'{"hook":1}'),
        Settlement(first.taken[1].id, first.taken[1].ticket, Verdict(Kind.PARK), b'{"n":2}', b'{"hook":2}'),
        Settlement(first.taken[2].id, first.taken[2].ticket, Verdict(Kind.RELEASE, Charge.RELEASE, 60_000)),
        Settlement(first.taken[3].id, first.taken[3].ticket, Verdict(Kind.RETURN, Charge.INTERRUPT)),
    ]
    driver.turn(queue, CONSUMER, endings, 0)
    second = driver.turn(queue, CONSUMER, [], 8)
    driver.cancel(queue, {second.taken[4].id: b"{}"})
    *held, last = second.taken
    driver.turn(queue, CONSUMER, [Settlement(last.id, last.ticket, FAILED, b'{"n":3}', b'{"hook":3}')], 0)
    driver.push(queue, [Entry("l", b"{}", traits=Traits(-1, 3_600_000, "k"))])
    verdicts = [
        ACK,
        ACK,
        ACK,
        UNTOUCHED,
        FAILED,
        Verdict(Kind.PARK),
        Verdict(Kind.RELEASE, Charge.RELEASE, 9),
    ]
    return [
        Settlement(one.id, one.ticket, verdict, b'{"n":4}', b'{"hook":4}')
        for one, verdict in zip(held, verdicts, strict=True)
    ]


def decode(raw: bytes) -> TakenIn:
    return TakenIn(raw, Entry("from-inbox", raw))


def misread(raw: bytes) -> TakenIn:
    return TakenIn(raw, Entry("from-inbox", raw), "no JSON")


Verb = Callable[[RedisDriver, str, list[Settlement]], object]
VERBS: dict[str, Verb] = {
    "push": lambda driver, queue, _: driver.push(queue, [Entry("x", b"1"), Entry("y", b"2", delay_ms=9_000)]),
    "push, of a priority, instead of another": lambda driver, queue, _: driver.push(
        queue, [Entry("x", b"1", traits=Traits(1, 9_000, "k", replace=True))]
    ),
    "push, with a key for a time": lambda driver, queue, _: driver.push(
        queue, [Entry("x", b"1", traits=Traits(unique="other", until_ms=9_000))]
    ),
    "gate": lambda driver, queue, _: driver.gate(queue),
    "set_gate": lambda driver, queue, _: driver.set_gate(queue, GateState.CLOSED),
    "set_gate, from where it stands": lambda driver, queue, _: driver.turn_gate(
        queue, GateState.OPEN, GateState.DRAINING
    ),
    "mark_restart": lambda driver, queue, _: driver.mark_restart(queue),
    "restart_mark": lambda driver, queue, _: driver.restart_mark(queue),
    "push, in a lane": lambda driver, queue, _: driver.push(
        queue, [Entry("x", b"1", remember_ms=9), Entry("a", b"2")], Lane("s", 2)
    ),
    "push, the first in a lane": lambda driver, queue, _: driver.push(
        queue, [Entry("x", b"1")], Lane("t", 1)
    ),
    "register": lambda driver, queue, _: driver.register(queue, "another", "h", 5),
    "raise_tickets": lambda driver, queue, _: driver.raise_tickets(queue, 2**52),
    "beat": lambda driver, queue, _: driver.beat(queue, "h", "name"),
    "bury": lambda driver, queue, _: driver.bury(queue, "h", 0),
    "leave_host": lambda driver, queue, _: driver.leave_host(queue, "nobody"),
    "turn": lambda driver, queue, endings: driver.turn(queue, CONSUMER, endings, 5),
    "turn, acks only": lambda driver, queue, endings: driver.turn(queue, CONSUMER, endings[2:3], 0),
    "turn, reserving only": lambda driver, queue, _: driver.turn(queue, CONSUMER, [], 5),
    "compare": lambda driver, queue, _: driver.compare(queue, CONSUMER, []),
    "leave": lambda driver, queue, _: driver.leave(queue, CONSUMER),
    "reclaim": lambda driver, queue, endings: driver.reclaim(queue, CONSUMER, endings),
    "promote": lambda driver, queue, _: driver.promote(queue),
    "pause": lambda driver, queue, _: driver.pause(queue, 1000),
    "resume": lambda driver, queue, _: driver.resume(queue),
    "take_inbox": lambda driver, queue, _: driver.take_inbox(queue, decode),
    "take_inbox, unreadable": lambda driver, queue, _: driver.take_inbox(queue, misread),
    "retry": lambda driver, queue, _: driver.retry(queue, State.FAILED, list("abcdefghij")),
    "forget": lambda driver, queue, _: driver.forget(queue, list("abcdefghij")),
    "forget failed": lambda driver, queue, _: driver.forget(queue, list("abcdefghij"), State.FAILED),
    "notify": lambda driver, queue, _: driver.notify(queue, "!!e:1", b"{}\n"),
    "clear waiting": lambda driver, queue, _: driver.clear(queue, State.WAITING),
    "clear delayed": lambda driver, queue, _: driver.clear(queue, State.DELAYED),
    "push_tick": lambda driver, queue, _: driver.push_tick(
        queue, "c", Tick(2_000, "s", "c@2"), b"{}", alone=True
    ),
    "cancel": lambda driver, queue, _: driver.cancel(queue, dict.fromkeys("abcdefghij", b"{}")),
    "trim": lambda driver, queue, _: driver.trim(queue, State.FAILED, 1, 9_000),
    "clear failed": lambda driver, queue, _: driver.clear(queue, State.FAILED),
}


@pytest.mark.parametrize("verb", VERBS)
def test_d1_a_key_of_a_wrong_type_is_refused_before_the_first_write(
    driver: RedisDriver, client: Any, verb: str
) -> None:
    refused = []
    for broken in (*KEYS, f"owned:{CONSUMER}"):
        queue = queue_name()
        endings = furnish(driver, client, queue)
        client.delete(key(queue, broken))
        client.set(key(queue, broken), "of a wrong type")
        before = dump(client, queue)

        try:
            VERBS[verb](driver, queue, endings)
        except DriverError as error:
            assert "WRONGTYPE" in str(error)
            refused.append(broken)
            assert dump(client, queue) == before, f"{verb} wrote before it found {broken} to be wrong"
        assert client.get(key(queue, broken)) == b"of a wrong type"
        sweep(client, queue)
    assert "state" in refused
    assert len(refused) > 1


def test_d1_a_push_that_asks_for_nothing_finds_a_key_of_a_wrong_type_before_its_first_write(
    driver: RedisDriver, client: Any
) -> None:
    refused = set()
    for broken in KEYS:
        queue = queue_name()
        driver.push(queue, [Entry("a", b"1")], Lane("s", 1))
        client.delete(key(queue, broken))
        client.set(key(queue, broken), "of a wrong type")
        before = dump(client, queue)

        try:
            driver.push(queue, [Entry("x", b"1"), Entry("y", b"2")], Lane("s", 2))
        except DriverError as error:
            assert "WRONGTYPE" in str(error)
            refused.add(broken)
            assert dump(client, queue) == before, f"it wrote before it found {broken} to be wrong"
        assert client.get(key(queue, broken)) == b"of a wrong type"
        sweep(client, queue)
    assert refused == {"state", "bodies", "waiting", "wake", "sessions", "remembered"}


def test_furnish_fills_every_key(driver: RedisDriver, client: Any, queue: str) -> None:
    furnish(driver, client, queue)

    assert {name.decode() for name in dump(client, queue)} == {
        key(queue, name) for name in (*KEYS, f"owned:{CONSUMER}")
    }


def test_a_flush_of_the_scripts_is_survived(driver: RedisDriver, client: Any, queue: str) -> None:
    push(driver, queue, "a")
    client.script_flush()

    push(driver, queue, "b")

    assert driver.counts(queue).waiting == 2


def test_d16_a_newer_layout_is_refused_by_every_script(driver: RedisDriver, client: Any, queue: str) -> None:
    endings = furnish(driver, client, queue)
    client.hset(key(queue, "state"), "v", LAYOUT + 1)
    before = dump(client, queue)

    for verb, run in VERBS.items():
        with pytest.raises(Newer):
            run(driver, queue, endings)
        assert dump(client, queue) == before, verb
    for read in (driver.counts, driver.oldest_ms, driver.beats):
        with pytest.raises(Newer):
            read(queue)


def test_d16_the_first_write_of_a_queue_stores_the_layout(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    push(driver, queue, "a")

    assert client.hget(key(queue, "state"), "v") == str(LAYOUT).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(range(256)),
        b"\r\n$5\r\n\0*3",
        b'{"n":9007199254740993,"f":1.7976931348623157e308,"empty":[],"o":{}}',
        b"9" * 4300,
        "\u2028\ud7ff\U0010ffff".encode(),
    ],
)
def test_d2_a_body_comes_out_as_it_went_in(driver: RedisDriver, queue: str, body: bytes) -> None:
    driver.register(queue, CONSUMER, "h")
    driver.push(queue, [Entry("1790000000000000001", body)])

    [first] = driver.turn(queue, CONSUMER, [], 1).taken
    failing = Settlement(first.id, first.ticket, FAILED, b"{}", b'{"big":9007199254740993}')
    [notice] = driver.turn(queue, CONSUMER, [failing], 1).taken

    assert (first.id, first.body) == ("1790000000000000001", body)
    assert notice.body == b'{"big":9007199254740993}\n' + body
    stored = driver.message(queue, first.id)
    assert stored is not None
    assert stored.body == body


def test_tickets_and_times_are_written_as_whole_numbers(driver: RedisDriver, client: Any, queue: str) -> None:
    furnish(driver, client, queue)

    state = client.hgetall(key(queue, "state"))
    assert state[b"ticket"].isdigit()
    assert state[b"seq"].isdigit()
    assert all(ticket.isdigit() for ticket in client.hvals(key(queue, f"owned:{CONSUMER}")))
    assert all(
        score == int(score) for _, score in client.zrange(key(queue, "delayed"), 0, -1, withscores=True)
    )


def test_d4_a_ticket_is_above_the_last_one_even_if_the_clock_stepped_back(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    driver.register(queue, CONSUMER, "h")
    push(driver, queue, "a", "b")
    client.hset(key(queue, "state"), mapping={"ticket": 4_000_000_000_000_000, "seq": 4_000_000_000_000_000})

    taken = driver.turn(queue, CONSUMER, [], 2).taken
    push(driver, queue, "c")

    assert [one.ticket for one in taken] == [4_000_000_000_000_001, 4_000_000_000_000_002]
    assert client.hget(key(queue, "state"), "seq") == b"4000000000000001"


def test_an_id_without_a_body_is_passed_over(driver: RedisDriver, client: Any, queue: str) -> None:
    driver.register(queue, CONSUMER, "h")
    client.rpush(key(queue, "waiting"), *(f"stray-{n}" for n in range(40)))
    push(driver, queue, "a")

    taken = driver.turn(queue, CONSUMER, [], 10).taken

    assert [one.id for one in taken] == ["a"]
    assert client.llen(key(queue, "waiting")) == 0


def test_damaged_counters_do_not_keep_a_message_from_being_handed_out(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    driver.register(queue, CONSUMER, "h")
    push(driver, queue, "a")
    client.hset(key(queue, "meta"), "a", b"\xff rubbish")

    [one] = driver.turn(queue, CONSUMER, [], 1).taken

    assert one.counters == Counters()


def test_counters_are_stored_only_when_not_all_zero(driver: RedisDriver, client: Any, queue: str) -> None:
    driver.register(queue, CONSUMER, "h")
    push(driver, queue, "a", "b")
    turn = driver.turn(queue, CONSUMER, [], 2)

    driver.turn(queue, CONSUMER, [*settled(turn, UNTOUCHED)[:1], *settled(turn, FAILED)[1:]], 0)

    assert client.hgetall(key(queue, "meta")) == {b"b": b"1 0 0 0 0"}


def test_a_history_stays_within_its_size_and_loses_whole_lines(driver: RedisDriver, queue: str) -> None:
    driver.register(queue, CONSUMER, "h")
    push(driver, queue, "a")
    records = [b'{"n":%d,"text":"%s"}' % (number, b"x" * 5000) for number in range(12)]

    for record in records:
        [one] = driver.turn(queue, CONSUMER, [], 1).taken
        driver.turn(queue, CONSUMER, [Settlement(one.id, one.ticket, UNTOUCHED, record)], 0)

    stored = driver.message(queue, "a")
    assert stored is not None
    assert stored.history == tuple(records[-len(stored.history) :])
    size = sum(len(line) + 1 for line in stored.history)
    assert MAX_HISTORY - 5100 < size <= MAX_HISTORY


def test_d15_the_oldest_notices_go_first_and_take_their_bodies_along(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    driver.register(queue, CONSUMER, "h")
    push(driver, queue, "last")
    client.rpush(key(queue, "notices"), *(f"!n:{n}" for n in range(MAX_NOTICES)))
    client.hset(key(queue, "bodies"), mapping={f"!n:{n}": "0" * 14 + "{}" for n in range(MAX_NOTICES)})
    ids = [one for one in driver.turn(queue, CONSUMER, [], 1).taken if one.is_notice]
    driver.turn(queue, CONSUMER, [Settlement(ids[0].id, ids[0].ticket, UNTOUCHED)], 0)
    client.lpop(key(queue, "waiting"))

    driver.register(queue, "other", "h")
    client.hset(key(queue, f"owned:{CONSUMER}"), "last", "7")
    driver.reclaim(queue, CONSUMER, [Settlement("last", 7, FAILED, b"", b'{"hook":1}')])

    assert driver.counts(queue).notices == MAX_NOTICES
    assert client.lindex(key(queue, "notices"), 0) == b"!n:1"
    assert client.lindex(key(queue, "notices"), -1) == b"!last:7"
    assert not client.hexists(key(queue, "bodies"), "!n:0")


def test_d10_what_is_remembered_does_not_grow_with_the_pushes(
    driver: RedisDriver, client: Any, queue: str
) -> None:
    _push_in_one_lane(driver, queue, 1, 1_000)
    before = _remembered_bytes(client, queue)

    _push_in_one_lane(driver, queue, 1_001, 20_000)

    assert _remembered_bytes(client, queue) <= before + 8  # the number has more digits


@pytest.mark.slow
def test_d10_a_hundred_thousand_pushes_leave_one_line(driver: RedisDriver, client: Any, queue: str) -> None:
    _push_in_one_lane(driver, queue, 1, 1_000)
    before = _remembered_bytes(client, queue)

    _push_in_one_lane(driver, queue, 1_001, 100_000)  # a million: scripts/bench memory

    assert _remembered_bytes(client, queue) <= before + 8


def _push_in_one_lane(driver: RedisDriver, queue: str, first: int, last: int) -> None:
    who = f"c{first}"
    driver.register(queue, who, "h")
    held: list[Settlement] = []
    for number in range(first, last + 1):
        driver.push(queue, [Entry(f"m{number}", b"{}")], Lane("f" * 24, number))
        if number % 50 == 0:
            held = settled(driver.turn(queue, who, held, 50))
    driver.turn(queue, who, held, 0)


def _remembered_bytes(client: Any, queue: str) -> int:
    names = ("state", "sessions", "uses", "remembered", "bodies", "meta", "history")
    return sum(client.memory_usage(key(queue, name)) or 0 for name in names)


def test_d10_ids_whose_time_is_over_are_swept(driver: RedisDriver, client: Any, queue: str) -> None:
    for start in range(0, 300, 100):
        ids = [f"m{number}" for number in range(start, start + 100)]
        driver.push(queue, [Entry(id, b"{}", remember_ms=9_000) for id in ids])
        driver.forget(queue, ids)
    for id in client.zrange(key(queue, "remembered"), 0, -1):
        client.zincrby(key(queue, "remembered"), -10_000, id)

    driver.promote(queue)
    assert client.zcard(key(queue, "remembered")) == 200
    driver.push(queue, [Entry(f"n{number}", b"{}", remember_ms=9_000) for number in range(100)])
    assert client.zcard(key(queue, "remembered")) == 100


def test_no_script_uses_what_scripts_may_not() -> None:
    for code in map(script, PARTS):
        for word in (b"cjson", b"cmsgpack", b"'KEYS'", b"'SCAN'", b"redis.pcall", b"'BZPOPMIN'"):
            assert word not in code.text, (code.name, word)


def test_a_waiting_message_of_100_bytes_takes_at_most_240(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        with opened(server.url) as driver, raw(server.url) as client:
            push(driver, "emails", "first")
            before = client.info("memory")["used_memory"]
            for start in range(0, 20_000, 100):
                entries = [Entry(f"{number:022d}", b"x" * 100) for number in range(start, start + 100)]
                driver.push("emails", entries)

            each = (client.info("memory")["used_memory"] - before) / 20_000

            assert driver.counts("emails").waiting == 20_001
            assert each <= 240
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["", "a{b", "a}b"])
def test_a_queue_that_is_no_hash_tag_is_refused(driver: RedisDriver, name: str) -> None:
    with pytest.raises(ValueError, match="hash tag"):
        push(driver, name, "a")


def test_d15_no_message_may_have_the_id_of_a_notice(driver: RedisDriver, queue: str) -> None:
    with pytest.raises(ValueError, match="begin with"):
        push(driver, queue, "!a")
