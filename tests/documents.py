"""What tests of documents share: reading their blocks and tables, and somebody who follows them word by word.

A block whose first line names a file (`# shop/tasks.py`) is that file; a block ```console has commands behind
`$ `, and what they print. Blocks of other languages, or with a word behind the language (```python celery),
show other systems and are not run.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0

#: Verbs that change nothing: they are asked again until what is shown has come true.
LOOKS = "status|queues|messages|message|health|hosts"

ID = "[0-9A-HJKMNP-TV-Z]{26}"


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of any level, up to the next one that is not below it."""
    # A # inside a block of code is no heading.
    masked = re.sub(r"^```.*?^```", lambda block: "-" * len(block[0]), text, flags=re.MULTILINE | re.DOTALL)
    found = re.search(rf"^(#+) {re.escape(heading)}\n", masked, re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", masked[found.end() :], re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """Return the cells of a section's tables, without heads and rulers."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {n for n, line in enumerate(lines) if n + 1 < len(lines) and lines[n + 1].startswith("|--")}
    body = [line for n, line in enumerate(lines) if n not in heads and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Stranger:
    """Somebody who follows a document in an empty directory, with nothing but what stands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.master: subprocess.Popen[bytes] | None = None
        self.ids: dict[str, str] = {}
        # As if installed: `procqueue` is on the PATH, wherever these tests run.
        (folder / "bin").mkdir()
        for name, words in {"procqueue": " -m procqueue", "python": ""}.items():
            command = folder / "bin" / name
            command.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
            command.chmod(0o755)
        own = {name: text for name, text in os.environ.items() if not name.startswith("PROCQUEUE_")}
        path = f"{folder}/bin:{os.environ['PATH']}"
        # A wide terminal: the path of this directory must not be wrapped.
        self.environment = {**own, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}

    def follow(self, text: str) -> None:
        """Write the files of a document, and run its commands in order; each prints what is shown.

        `procqueue start` goes on in the background; what it shows is waited for, up to "ready" at once, all
        of it before `procqueue stop`. An id that is shown stands for the one that was printed, from then on.
        """
        self.write_files(text)
        later: list[str] = []
        for command, shown in commands(text):
            for id, own in self.ids.items():
                command = command.replace(id, own)
            if command.startswith("procqueue start"):
                first = next(n for n, line in enumerate(shown, 1) if "ready" in line)
                self.start(command)
                self.wait_printed_lines(shown[:first])
                later = shown
            else:
                if command.startswith("procqueue stop"):
                    self.wait_printed_lines(later)
                self.do(command, shown)

    def do(self, command: str, shown: list[str]) -> None:
        """Run a command, again and again if it only looks, until it prints what is shown."""
        whole = f"{command} 2>&1"
        if re.match(rf"procqueue ({LOOKS})\b", command):
            done = self.run_until(whole, lambda output: compared(shown, output) is not None)
        else:
            done = self.run(whole)
        ids = compared(shown, done.stdout)
        refused = any(line.startswith("error: ") for line in shown)
        assert (done.returncode != 0) is refused, f"$ {command}\n{done.stdout}\n{self.printed()}"
        assert ids is not None, "\n".join(
            [f"$ {command}", *shown, "but it was:", done.stdout, self.printed()]
        )
        self.ids.update(ids)

    def printed(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def wait_printed_lines(self, shown: list[str]) -> None:
        # In any order: they come from several processes.
        give_up = time.monotonic() + PATIENCE
        while missing := [line for line in shown if compared([line], self.printed()) is None]:
            wanted = "\n".join(missing)
            assert time.monotonic() < give_up, f"never printed:\n{wanted}\nbut:\n{self.printed()}"
            time.sleep(0.02)

    def write_files(self, text: str) -> list[str]:
        """Write every block whose first line names it."""
        found = [block for language in ("python", "toml") for block in blocks(text, language)]
        names = [block.splitlines()[0].removeprefix("# ") for block in found]
        for name, block in zip(names, found, strict=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
        return names

    def start(self, command: str) -> None:
        with self.output.open("wb") as output:
            self.master = subprocess.Popen(
                ["sh", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, stdout=output,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip

    def run_until(self, command: str, fits: Callable[[str], bool]) -> subprocess.CompletedProcess[str]:
        """Run it again until its output fits, or for too long; return the last run."""
        give_up = time.monotonic() + PATIENCE
        while not fits((done := self.run(command)).stdout) and time.monotonic() < give_up:
            time.sleep(0.05)
        return done

    def wait_printed(self, words: str) -> None:
        give_up = time.monotonic() + PATIENCE
        while words not in self.output.read_text():
            assert time.monotonic() < give_up, f"{words!r} was never printed:\n{self.output.read_text()}"
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """Return all living processes of the session that `start` began."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if (
                entry.name.isdigit()
                and self.master
                and int(fields[3]) == self.master.pid
                and fields[0] != "Z"
            ):
                found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Kill whatever the document has left running."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        if self.master:
            self.master.wait(PATIENCE)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return each command of a document with the lines that it is shown to print."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks(text, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def compared(shown: list[str], output: str) -> dict[str, str] | None:
    """Return which ids stand for which if each line that is shown was printed, in this order; else None.

    Numbers have to be the same, but not durations and moments; `…` stands for anything.
    """
    printed = iter(output.splitlines())
    ids: dict[str, str] = {}
    for line in shown:
        told = re.findall(ID, line)
        pattern = re.escape(masked(re.sub(ID, "\0", line))).replace("\0", f"({ID})").replace("…", ".*")
        for other in printed:
            if found := re.fullmatch(pattern, masked(other)):
                ids.update(zip(told, found.groups(), strict=True))
                break
        else:
            return None
    return ids


def masked(line: str) -> str:
    """Return a line without what differs from run to run: moments, durations, spaces."""
    line = re.sub(r"\d\d:\d\d:\d\d", "T", " ".join(line.split()))
    return re.sub(r"\b[0-9.]+(ms|s|MiB)\b", "N", line)


def shape(status: str) -> list[str]:
    """Return the lines of a status without what differs from run to run: numbers, paths, spaces."""
    return [
        " ".join(re.sub(r"/\S+|[0-9.]+(ms|s|MiB|MB)?", "N", line).split()) for line in status.splitlines()
    ]
