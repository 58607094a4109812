"""From TOML texts to Settings, or to a ConfigError with all that is wrong at once. Pure.

`decode` is the sentence: check the tables, read each, check what reaches over several, raise or return.
Texts, the environment and facts about the host come in as arguments; procqueue/config.py fetches them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from procqueue.core.errors import ConfigError, Problem
from procqueue.core.settings.crons import read_crons
from procqueue.core.settings.documents import Document, dotted, read_document
from procqueue.core.settings.drivers import check_drivers, read_drivers
from procqueue.core.settings.expand import expand
from procqueue.core.settings.keys import (
    ALL_TABLES,
    MAIN_FILE_ONLY,
    MASTER,
    NAMED,
    ONE_EACH,
    TOP,
)
from procqueue.core.settings.model import HookSettings, Settings
from procqueue.core.settings.names import check_after, check_names, origins_of_groups, read_groups
from procqueue.core.settings.places import placed, root_of
from procqueue.core.settings.positions import Origin, Path
from procqueue.core.settings.processes import Program, read_programs
from procqueue.core.settings.queues import Queue, read_queues, warn_of_graces
from procqueue.core.settings.readers import MOST_PROCESSES, patterns
from procqueue.core.settings.sections import Reading, Section
from procqueue.core.settings.tables import (
    OTHERS,
    read_logging,
    read_master,
    read_reload,
    read_web,
    section_of,
)
from procqueue.core.settings.wrong import Wrong


def _no_secrets(file: str) -> str:
    raise Wrong(f"{file} cannot be read from here", "use password instead")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decode has to know of the host: CPUs, name, and a way to read a password_file (raises Wrong)."""

    cpus: int = 1
    host: str = "localhost"
    read_secret: Callable[[str], str] = _no_secrets


def decode_text(text: str, *, file: str, environ: Mapping[str, str], facts: Facts = Facts()) -> Settings:  # noqa: B008
    """The settings in one text, as if it were the whole of `file` (an absolute path). Raises ConfigError."""
    return decode([read_document(file, text)], file=file, environ=environ, facts=facts)


def decode(documents: Sequence[Document], *, file: str, environ: Mapping[str, str], facts: Facts) -> Settings:
    """The settings that `documents`, the main file first, make together; `file` is its absolute path.

    Raises ConfigError with every problem, in the order of the files and lines.
    """
    reading = Reading(environ)
    for document in documents:
        _check_tables(reading, document, documents[0])
    _check_written_once(reading, documents)
    settings = _read(reading, documents, file, facts)
    if reading.problems:
        raise ConfigError(_in_order(reading.problems, documents))
    return replace(settings, warnings=tuple(_in_order(reading.warnings, documents)))


def _read(reading: Reading, documents: Sequence[Document], file: str, facts: Facts) -> Settings:
    main = documents[0]
    top = reading.section(main, (), TOP, aside=ALL_TABLES)
    root = reading.attempt(main, ("root",), lambda: root_of(file, top.values.get("root", "")), "/")
    drivers = read_drivers(reading, main, root, facts.read_secret)
    driver = drivers[""][0]
    master_section = reading.section(main, ("master",), MASTER)
    master = read_master(master_section, root)
    queues = read_queues(reading, documents, facts.cpus, root, facts.host)
    crons = read_crons(reading, documents, queues)
    programs = read_programs(reading, documents, root, facts.host)
    groups = read_groups(reading, documents, {**queues, **programs})
    others = {table: section_of(reading, documents, table, keys) for table, keys in OTHERS.items()}

    check_names(reading, documents)
    check_drivers(reading, drivers, queues)
    check_after(reading, programs, queues)
    _check_something_runs(reading, documents, queues)
    _check_app(reading, top, queues)
    _check_processes(reading, queues, programs)
    warn_of_graces(reading, queues, master_section, master.host_timeout)
    _warn_of_sync(reading, driver.scheme, queues)
    return Settings(
        file=file,
        root=root,
        path=placed(root, top.values.get("path", ".")),
        app=top.values.get("app", ()),
        driver=driver,
        master=master,
        queues={name: queue.settings for name, queue in queues.items()},
        programs={name: program.settings for name, program in programs.items()},
        groups=groups,
        crons=crons,
        drivers={name: settings for name, (settings, _) in drivers.items() if name},
        reload=read_reload(others["reload"], root),
        logging=read_logging(others["logging"], root),
        hooks=HookSettings(**others["hooks"].values),
        web=read_web(reading, others["web"], root),
        files=(file,),
        origins={
            **_origins(top, *(section for _, section in drivers.values()), master_section, *others.values()),
            **origins_of_groups(reading, documents),
        },
    )


def _origins(*sections: Section) -> dict[str, Origin]:
    return {
        dotted((*section.path, key)): origin
        for section in sections
        for key, origin in section.origins().items()
    }


def includes_of(document: Document, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The patterns of `include` in `document`. Raises ConfigError."""
    try:
        return patterns(expand(document.tree.get("include", []), environ))
    except ValueError as error:
        reading = Reading(environ)
        reading.refuse(document, ("include",), error)
        raise ConfigError(reading.problems) from None


def _check_tables(reading: Reading, document: Document, main: Document) -> None:
    """Keys of an included file that belong into the main one."""
    for name in document.tree:
        if document is not main and name in MAIN_FILE_ONLY:
            reading.wrong(
                document, (name,), "stands in an included file", f"move it to the main file, {main.name}"
            )
    if document is not main:
        reading.section(document, (), {"include": TOP["include"]}, aside=ALL_TABLES | {*MAIN_FILE_ONLY})


def _check_written_once(reading: Reading, documents: Sequence[Document]) -> None:
    first: dict[Path, Document] = {}
    for document in documents:
        paths: list[Path] = [(name,) for name in ONE_EACH if name in document.tree]
        for holder in NAMED:
            tables = document.tree.get(holder)
            paths += [(holder, name) for name in tables] if isinstance(tables, dict) else []
        for path in paths:
            other = first.setdefault(path, document)
            if other is not document:
                places = f"{other.name}:{other.line(path)} and {document.name}:{document.line(path)}"
                reading.wrong(document, path, f"this table stands in two files: {places}", "keep one of them")


def _check_something_runs(reading: Reading, documents: Sequence[Document], queues: dict[str, Queue]) -> None:
    written = any(document.tree.get(name) for document in documents for name in ("queues", "processes"))
    if not queues and not written:
        reading.wrong(
            documents[0],
            (),
            "there is neither a queue nor a program in it, so nothing to run",
            "add a table such as [queues.default], which needs no keys, or [processes.NAME]",
        )


def _check_app(reading: Reading, top: Section, queues: dict[str, Queue]) -> None:
    if top.values.get("app") or top.unreadable("app"):
        return
    bare = [
        queue
        for queue in queues.values()
        if queue.settings.enabled and not queue.settings.app and not queue.own.unreadable("app")
    ]
    if bare:
        names = ", ".join(queue.settings.name for queue in bare[:5]) + (", …" if len(bare) > 5 else "")
        line = top.document.line(("app",)) or 1
        reading.problems.append(
            Problem(top.document.name, line, "app", f"no module is named that has the tasks of: {names}",
                    'write app = ["shop.tasks"] at the top of the file')
        )  # fmt: skip


def _check_processes(reading: Reading, queues: dict[str, Queue], programs: dict[str, Program]) -> None:
    wanted = [
        (one.settings.most_processes, *one.place("processes"))
        for one in queues.values()
        if one.settings.enabled
    ]
    wanted += [(one.settings.count, *one.place("count")) for one in programs.values() if one.settings.enabled]
    total = sum(number for number, _, _ in wanted)
    if total > MOST_PROCESSES:
        _, document, path = max(wanted, key=lambda one: one[0])
        text = f"all queues and programs together want {total} processes; at most {MOST_PROCESSES} can be run"
        reading.wrong(document, path, text)


def _warn_of_sync(reading: Reading, scheme: str, queues: dict[str, Queue]) -> None:
    for queue in queues.values():
        if scheme == "sync" and queue.wrote("processes") and queue.settings.processes:
            document, path = queue.place("processes")
            reading.warn(
                document,
                path,
                "sync:// runs tasks inside push: no consumer is started",
                "for consumers, use a redis:// or sqlite:/// url",
            )


def _in_order(problems: list[Problem], documents: Sequence[Document]) -> list[Problem]:
    places = {document.name: index for index, document in enumerate(documents)}
    return sorted(dict.fromkeys(problems), key=lambda problem: (places.get(problem.file, 0), problem.line))
