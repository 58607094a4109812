"""The names of tasks as they stand in the text of the application's modules: nothing of it is imported.

For completion only: what a module imports from elsewhere, or makes while it is imported, is not found.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from procqueue.core.settings.model import Settings


def task_names(settings: Settings) -> list[str]:
    """Return them in the order of the text."""
    modules = dict.fromkeys([*settings.app, *(name for q in settings.queues.values() for name in q.app)])
    return [name for module in modules for name in _of_module(settings.path, module)]


def _of_module(path: str, module: str) -> Iterator[str]:
    place = os.path.join(path, *module.split("."))
    for file in (f"{place}.py", f"{place}/__init__.py"):
        try:
            with open(file, "rb") as source:
                body = ast.parse(source.read()).body
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _of_function(module, node)


def _of_function(module: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        target = call.func if call else decorator
        word = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
        if word != "task":
            continue
        given = [key.value for key in (call.keywords if call else []) if key.arg == "name"]
        if given and isinstance(given[0], ast.Constant):
            yield str(given[0].value)
        else:
            yield f"{module}.{node.name}"
