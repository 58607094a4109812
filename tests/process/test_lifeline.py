"""The lifeline: whole messages, no waiting, an end that is seen after the last word."""

import json
import socket

from procqueue.process.lifeline import VERSION, Lifeline, pair


def test_messages_keep_their_bounds_and_their_order() -> None:
    ours, theirs = pair()

    for number in range(20):
        assert theirs.say("worked", number=number)

    heard = ours.hear()
    assert [(m["say"], m["number"]) for m in heard] == [("worked", n) for n in range(20)]
    assert ours.hear() == [] and not ours.ended
    ours.close()
    theirs.close()


def test_both_ends_may_speak() -> None:
    ours, theirs = pair()

    assert ours.say("stop") and theirs.say("ready")

    assert [m["say"] for m in theirs.hear()] == ["stop"] and [m["say"] for m in ours.hear()] == ["ready"]
    ours.close()
    theirs.close()


def test_s5_the_last_words_are_heard_before_the_end() -> None:
    ours, theirs = pair()
    theirs.say("leaving", reason="stop")

    theirs.close()

    assert [m["say"] for m in ours.hear()] == ["leaving"] and ours.ended
    assert ours.hear() == [] and not ours.say("too late")
    ours.close()


def test_s2_an_end_that_does_not_listen_makes_nobody_wait() -> None:
    ours, theirs = pair()

    said = 0
    while theirs.say("counts", filler="x" * 1000):
        said += 1
        assert said < 100_000

    assert not theirs.say("counts") or theirs.say("counts") in (True, False)
    assert len(ours.hear()) >= said > 10
    assert theirs.say("again")
    ours.close()
    theirs.close()


def test_a_message_that_is_too_large_is_refused_and_the_next_is_heard() -> None:
    ours, theirs = pair()

    for size in (100_000, 130_000, 200_000, 1_000_000):
        arrived = theirs.say("large", text="x" * size)
        theirs.say("small")

        heard = ours.hear()

        assert [m["say"] for m in heard] == (["large", "small"] if arrived else ["small"])
    ours.close()
    theirs.close()


def test_s2_what_user_code_scribbles_on_a_lifeline_is_passed_over() -> None:
    ours, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    line = Lifeline(ours)
    for scribble in (b"garbage", b"\xff\xfe", b"[" * 100_000, b"[1]", b"7", b'{"say": "old"}', b'{"v": 1}'):
        end.send(scribble)
    end.send(json.dumps({"v": VERSION + 1, "say": "newer"}).encode())
    end.send(json.dumps({"v": VERSION, "say": "ready"}).encode())

    assert [m["say"] for m in line.hear()] == ["ready"]
    assert not line.ended
    line.close()
    end.close()
