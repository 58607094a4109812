"""A program says that it is ready, as sd_notify(3) has it; strangers cannot say it for it."""

import shutil
from pathlib import Path

import pytest

from tests.process.programs.stage import as_root, lines, parent

NOTIFIED = """
from procqueue.process.programs.notify import Notice, NotifySocket

SEND = '''
import os, socket, sys, time
def send(text):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    end.sendto(text, os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1))
'''

def notices(box, leader, number=1):
    found = []
    while len(found) < number:
        assert select.select([box], [], [], 20)[0], found
        found += box.hear(leader)
    return found

box = NotifySocket()
"""


def staged(code: str) -> str:
    return NOTIFIED + code


def test_what_a_program_says_of_itself_is_heard() -> None:
    code = """
started = start(order(sys.executable, "-c", SEND + '''
send(b"STATUS=half\\\\nMAINPID=1")
send(b"FDSTORE=1")
send(b"\\\\xff=\\\\nREADY=1\\\\nSTATUS=")
''', notify_socket=box.address))
for notice in notices(box, started.pid, 2):
    say(notice)
say(code_of(started), box.hear(started.pid))
"""
    with parent(staged(code)) as one:
        assert lines(one, 3) == [
            "Notice(ready=False, status='half')", "Notice(ready=True, status='')", "0 []",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "way",
    [
        "os.fork() and os._exit(os.wait()[1])",  # a child in the group
        "os.fork() and os._exit(os.wait()[1]); os.setsid()",  # a descendant that left session and group
        "os.fork() and os._exit(os.wait()[1]); os.fork() and os._exit(0); os.setpgrp()",  # an orphan
    ],
)
def test_trap_32_a_shells_children_speak_for_the_program(way: str) -> None:
    code = f"""
started = start(order(sys.executable, "-c", SEND + "{way}; send(b'READY=1'); time.sleep(600)",
                notify_socket=box.address))
begun(started)
say(notices(box, started.pid)[0].ready)
sweep.end(started.pid, OWNER)
"""
    with parent(staged(code)) as one:
        assert one.line() == "True"


def test_trap_32_nobody_else_does() -> None:
    code = """
started = start(order("sleep", "600"))
begun(started)
stranger = start(order(sys.executable, "-c", SEND + "send(b'READY=1'); time.sleep(600)",
                 notify_socket=box.address))
assert select.select([box], [], [], 20)[0]
say(box.hear(started.pid), select.select([box], [], [], 0)[0])
"""
    with parent(staged(code)) as one:
        assert one.line() == "[] []"


@as_root
def test_one_that_said_its_word_and_left_is_believed_if_it_was_the_programs_user() -> None:
    code = """
gone = SEND + '''
if os.fork():
    os.wait()
    time.sleep(600)
os.setsid()
send(b"READY=1")
'''
started = start(order("sleep", "600"))
begun(started)
for user in ("", "nobody"):
    saying = start(order("/usr/bin/python3", "-c", SEND + "os.setsid; send(b'READY=1')", user=user,
                   notify_socket=box.address))
    begun(saying)
    code_of(saying)
    assert select.select([box], [], [], 20)[0]
    say(user, box.hear(started.pid))
wrapped = start(order(sys.executable, "-c", gone, notify_socket=box.address))
say(notices(box, wrapped.pid)[0].ready)
"""
    with parent(staged(code)) as one:
        assert lines(one, 3) == [" [Notice(ready=True, status=None)]", "nobody []", "True"]


@as_root
def test_a_program_of_another_user_reaches_its_socket() -> None:
    code = """
started = start(order("/usr/bin/python3", "-c", SEND + "send(b'READY=1'); time.sleep(600)", user="nobody",
                notify_socket=box.address))
say(notices(box, started.pid)[0].ready)
"""
    with parent(staged(code)) as one:
        assert one.line() == "True"


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="needs systemd-notify")
def test_the_command_of_systemd_is_heard_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    code = f"""
sent = Path("{tmp_path}/sent")
command = f"systemd-notify --ready --status='at work'; touch {{sent}}; exec sleep 600"
started = start(order("sh", "-c", command, notify_socket=box.address))
say(notices(box, started.pid)[0])
# It asks to close a descriptor that it sends along (BARRIER=1), and goes on when that is done.
wait_until(lambda: box.hear(started.pid) or sent.exists())
say("sent")
"""
    with parent(staged(code)) as one:
        assert lines(one, 2) == ["Notice(ready=True, status='at work')", "sent"]


def test_a_program_that_talks_without_end_does_not_hold_up_the_master() -> None:
    code = """
endless = SEND + "while True: send(b'STATUS=x')"
started = start(order(sys.executable, "-c", endless, notify_socket=box.address))
begun(started)
heard = [len(box.hear(started.pid)) for _ in range(20)]
say(max(heard) <= 32)
"""
    with parent(staged(code)) as one:
        assert one.line() == "True"


def test_descriptors_that_come_along_are_not_kept() -> None:
    code = """
before = len(os.listdir("/proc/self/fd"))
started = start(order(sys.executable, "-c", SEND + '''
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.connect(os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1))
read, write = os.pipe()
for number in (1, 16, 100):
    socket.send_fds(end, [b"READY=1"], [write] * number)
os.close(write)
print("released", os.read(read, 1), flush=True)
''', notify_socket=box.address))
begun(started)
say(len(notices(box, started.pid, 3)), code_of(started))
box.close()
say(len(os.listdir("/proc/self/fd")) - before)
"""
    with parent(staged(code)) as one:
        assert lines(one, 3) == ["released b''", "3 0", "-1"]
