"""/livez and /readyz. That it lives, this process says by answering: no store and no master is asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from procqueue.process.ask import NoMaster
from procqueue.web.sight import Sight


async def livez(_request: Request) -> Response:
    """Answer."""
    return JSONResponse({"v": 1, "live": True})


async def readyz(sight: Sight) -> Response:
    """Say whether all that is wanted is ready: 200 or 503, as `procqueue health` says 0 or 4."""
    try:
        ready = bool((await sight.health())["ready"])
    except (NoMaster, TimeoutError, KeyError):
        ready = False
    return JSONResponse({"v": 1, "ready": ready}, 200 if ready else 503)
