"""The shape of the code: imports point downwards only, no cycle, no file that is too long."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "procqueue"

#: From the top down; a module may import its own layer and those below it.
LAYERS = (
    ("cli",),
    ("web", "demo", "testing"),
    ("process",),
    ("tasks", "producer", "pushing", "standin", "stored"),
    ("drivers",),
    ("config", "finding"),
    ("core",),
)

#: `import procqueue` names everything public, lazily; `python -m procqueue` is the command line.
DOORS = {"procqueue/__init__.py", "procqueue/__main__.py"}

LONGEST = 400

#: Who reads the wall clock, and what for. Nobody waits by it, and nobody judges by it who is dead.
WALL_CLOCK = {
    "drivers/sqlite/link.py": "due times of SQLite (D9)",
    "drivers/sqlite/driver.py": "tickets of SQLite: max(last + 1, clock)",
    "drivers/sqlite/files.py": "compared with the date of a directory",
    "drivers/sync.py": "the same for a store that stores nothing",
    "drivers/lanes.py": "beside the monotonic clock, which stands still in a suspended machine",
    "tasks/ids.py": "ids that sort by time",
    "tasks/call.py": "at= is a moment of the wall clock",
    "tasks/context.py": "at= is a moment of the wall clock",
    "process/master.py": "shown to people",
    "process/crontab.py": "ticks are moments of the wall clock; the store takes each once",
    "process/news.py": "shown to people",
    "process/scheduler.py": "shown to people",
    "process/status.py": "shown to people",
    "testing/__init__.py": "a message of a test was pushed now",
    "testing/fake.py": "where the clock of a test begins",
    "web/credentials.py": "sessions outlive the process",
    "web/rendering.py": "shown to people",
    "cli/logs.py": "compared with the moments of lines",
    "process/logger/files.py": "shown to people",
    "process/logger/main.py": "shown to people",
    "process/logger/source.py": "shown to people",
    "process/sources.py": "compared with the dates of files",
    "process/hearing.py": "shown to people",
    "process/intent.py": "compared with the dates of the configuration's files",
    "process/wishes.py": "shown to people",
    "process/pauses.py": "the end of a pause is kept over the master's life",
    "process/code.py": "compared with the dates of source files",
}


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def layer_of(module: str) -> int | None:
    parts = module.split(".")
    return next((n for n, names in enumerate(LAYERS) if len(parts) > 1 and parts[1] in names), None)


def imported_by(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "procqueue"}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def test_imports_point_downwards_only() -> None:
    upwards = []
    for path in modules():
        own = layer_of(name_of(path))
        if str(path.relative_to(ROOT.parent)) in DOORS or own is None:
            continue
        for imported in imported_by(path):
            other = layer_of(imported)
            if other is not None and other < own:
                upwards.append(f"{name_of(path)} imports {imported}")

    assert upwards == []


def test_no_module_is_imported_in_a_circle() -> None:
    names = {name_of(path): path for path in modules()}
    edges = {}
    for name, path in names.items():
        targets = set()
        for node in ast.walk(ast.parse(path.read_text())):  # also those within functions and for types only
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    targets.add(full if full in names else node.module)
        edges[name] = {t for t in targets if t in names and t != "procqueue"}

    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for target in edges[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in names:
        visit(name, ())


def test_no_file_is_too_long() -> None:
    long = {
        str(p.relative_to(ROOT)): n for p in modules() if (n := len(p.read_text().splitlines())) > LONGEST
    }

    assert long == {}


def test_the_core_touches_nothing_outside_itself() -> None:
    forbidden = {
        "os",
        "time",
        "socket",
        "random",
        "secrets",
        "subprocess",
        "select",
        "signal",
        "threading",
        "pathlib",
    }
    touching = []
    for path in (ROOT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module.split(".")[0]}
            if names & forbidden:
                touching.append(f"{path.name}: {sorted(names & forbidden)}")

    assert touching == []


def test_nothing_is_called_helpers() -> None:
    bad = {"utils", "helpers", "common", "base", "manager", "misc"}

    assert [p.name for p in modules() if p.stem in bad] == []


def test_d9_the_wall_clock_is_read_where_it_is_known_why() -> None:
    clocks = ("time.time(", "time.time_ns(", "datetime.now(", "CLOCK_REALTIME")
    found = {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(clock in line.split("#")[0] for clock in clocks for line in path.read_text().splitlines())
        and "mistakes" not in path.parts
    }

    assert found == set(WALL_CLOCK)
