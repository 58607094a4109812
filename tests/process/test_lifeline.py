"""The lifeline: whole messages, no waiting, an end that is seen after the last word."""

import json
import os
import socket

from procqueue.process.lifeline import VERSION, Lifeline, from_descriptor, pair


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


def test_s3_descriptors_travel_beside_a_message_to_who_asks_for_them() -> None:
    ours, theirs = pair()
    with open("/dev/null") as file:
        inode = os.fstat(file.fileno()).st_ino
        ours.say("fork", fds=(file.fileno(),))
        ours.say("stop")
        ours.say("fork", fds=(file.fileno(),))

    first, second, third = theirs.hear(most_fds=1)

    assert [m["say"] for m in (first, second, third)] == ["fork", "stop", "fork"] and second["fds"] == []
    for fd in (*first["fds"], *third["fds"]):
        assert os.fstat(fd).st_ino == inode and not os.get_inheritable(fd)
        os.close(fd)
    ours.close()
    theirs.close()


def test_descriptors_that_nobody_asked_for_are_dropped() -> None:
    ours, theirs = pair()
    before = os.listdir("/proc/self/fd")
    with open("/dev/null") as file:
        ours.say("fork", fds=(file.fileno(),))
        socket.send_fds(ours._end, [b"no message"], [file.fileno()])
        socket.send_fds(ours._end, [b"no message"], [file.fileno()])

    assert [m["say"] for m in theirs.hear()] == ["fork"] and theirs.hear(most_fds=1) == []

    assert os.listdir("/proc/self/fd") == before
    ours.close()
    theirs.close()


def test_one_who_waits_hears_one_word_and_leaves_the_others() -> None:
    ours, theirs = pair()
    ours.say("go")
    ours.say("stop")

    assert theirs.wait_first() == "go"

    assert [m["say"] for m in theirs.hear()] == ["stop"]
    ours.close()
    assert theirs.wait_first() is None and theirs.ended
    theirs.close()


def test_an_end_never_blocks_whatever_default_an_application_sets() -> None:
    ours, theirs = pair()
    socket.setdefaulttimeout(30)
    try:
        same = from_descriptor(os.dup(theirs.fileno()))
    finally:
        socket.setdefaulttimeout(None)

    assert same.hear() == [] and not same.ended
    for end in (ours, theirs, same):
        end.close()


def test_the_last_words_of_one_that_left_without_listening_are_heard() -> None:
    ours, theirs = pair()
    ours.say("unheard")
    theirs.say("note", text="last words")

    theirs.close()

    assert [message["text"] for message in ours.hear()] == ["last words"] and ours.ended
    ours.close()
