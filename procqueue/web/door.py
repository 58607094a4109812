"""The way in: what the master runs in the child, and what has to be installed. Nothing is imported before."""

from __future__ import annotations

from importlib.util import find_spec

from procqueue.core.errors import ConfigError, Problem
from procqueue.process.dashboard import Place
from procqueue.process.lifeline import Lifeline

_LIBRARIES = ("starlette", "uvicorn", "jinja2", "prometheus_client")
_HINT = "pip install 'procqueue[web]'"


def run(place: Place, lifeline: Lifeline) -> int:
    """Be the dashboard until told to leave; return the exit code."""
    if missing := _missing():  # a reload may have asked for it
        return _wait_without(lifeline, f"the dashboard needs {missing}: {_HINT}")
    from procqueue.web.main import serve

    return serve(place, lifeline)


def refuse_without_libraries(file: str) -> None:
    """Raise ConfigError if the extra `web` is not installed."""
    if missing := _missing():
        raise ConfigError([Problem(file, 0, "web", f"the dashboard needs {missing}", _HINT)])


def _missing() -> str:
    return ", ".join(name for name in _LIBRARIES if find_spec(name) is None)


def _wait_without(lifeline: Lifeline, text: str) -> int:
    """Say what is missing, and stay until told to leave: dying again and again would say no more."""
    from procqueue.web.leaving import wait_for_end

    lifeline.say("problem", text=text)
    return wait_for_end(lifeline)
