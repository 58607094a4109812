"""What is answered when something is wrong: a problem document (RFC 9457) to programs, a page to people."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Scope

from procqueue.web.rendering import Rendering


class Problem(Exception):
    """A request cannot be answered as asked. `detail`: what, where, and what to do."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def wants_json(scope: Scope) -> bool:
    """Return whether a program asks: by the path, since Accept is what browsers send for anything."""
    path: str = scope["path"]
    return path.startswith("/api/") or path in ("/livez", "/readyz", "/metrics")


def answer(scope: Scope, problem: Problem, rendering: Rendering) -> Response:
    """Return the response."""
    title = HTTPStatus(problem.status).phrase
    if wants_json(scope):
        document: dict[str, Any] = {
            "type": "about:blank", "title": title, "status": problem.status, "detail": problem.detail,
            "code": title.lower().replace(" ", "_"),
        }  # fmt: skip
        body = json.dumps(document).encode()
        return Response(body, problem.status, problem.headers, "application/problem+json")
    page = rendering.page(
        "problem.html", {"title": title, "status": problem.status, "detail": problem.detail}
    )
    return Response(page, problem.status, problem.headers, "text/html")
