"""All there is: pages, actions, API. To add a page: a function in pages/, a template, a line in PAGES.

A page's function returns what its template shows; the blocks named in `live` are sent again when they change
(live.py). GET changes nothing; each action is a POST with a role, and is told in the log as `audit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router, compile_path
from starlette.types import Receive, Scope, Send

from procqueue.core.errors import DriverError, DriverUnavailable
from procqueue.web import actions, metrics, probes
from procqueue.web.asking import Ask, Office
from procqueue.web.credentials import Role
from procqueue.web.guard import PERSON, local_path, parse_form
from procqueue.web.live import Fragments, Live
from procqueue.web.pages.failed import failed
from procqueue.web.pages.message import message
from procqueue.web.pages.overview import overview, queues
from procqueue.web.pages.queue import document, messages, queue
from procqueue.web.problems import Problem
from procqueue.web.rendering import Rendering
from procqueue.web.stores import TooBusy

Answer = Callable[[Ask], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `live`: the blocks of its template that follow what happens."""

    path: str
    answer: Answer
    template: str
    live: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """One change. `act` returns how many were changed; `verb` is how it is told."""

    path: str
    verb: str
    act: Callable[[Ask], Awaitable[int]]
    role: Role


PAGES = (
    Page("/", overview, "overview.html", live=("problems", "totals", "queues")),
    Page("/queue/{queue}", queue, "queue.html", live=("head", "consumers", "messages")),
    Page("/message/{queue}/{id:path}", message, "message.html", live=("life",)),
    Page("/failed", failed, "failed.html", live=("groups",)),
)

ACTIONS = (
    Action("/queue/{queue}/pause", "pause", actions.pause, Role.OPERATOR),
    Action("/queue/{queue}/resume", "resume", actions.resume, Role.OPERATOR),
    Action("/queue/{queue}/retry-group", "retry", actions.retry_group, Role.OPERATOR),
    Action("/queue/{queue}/forget-group", "forget", actions.forget_group, Role.ADMIN),
    Action("/retry/{queue}/{id:path}", "retry", actions.retry, Role.OPERATOR),
    Action("/forget/{queue}/{id:path}", "forget", actions.forget, Role.ADMIN),
    Action("/cancel/{queue}/{id:path}", "cancel", actions.cancel, Role.ADMIN),
)

API: dict[str, Answer] = {
    "/api/v1/overview": overview,
    "/api/v1/queues": queues,
    "/api/v1/queues/{queue}": document,
    "/api/v1/messages": messages,
    "/api/v1/messages/{queue}/{id:path}": message,
    "/api/v1/failed": failed,
}


def application(office: Office, rendering: Rendering) -> Router:
    """Return everything that stands behind the guard."""
    live = Live()

    async def follow(request: Request) -> Response:
        return await _follow(request, office, rendering, live)

    routes = [
        *_for_machines(office),
        Route("/live", follow),
        Route("/static/{path:path}", _static(rendering)),
        *(Route(page.path, _page(page, office, rendering)) for page in PAGES),
        *(Route(action.path, _action(action, office), methods=["POST"]) for action in ACTIONS),
        *(Route(path, _api(answer, office)) for path, answer in API.items()),
    ]
    return Router(routes, redirect_slashes=False, default=_nothing_there)


def for_scrapers(office: Office) -> Router:
    """Return what stands at [web] metrics: nothing that needs a credential."""
    return Router(_for_machines(office), redirect_slashes=False)


def _for_machines(office: Office) -> list[Route]:
    async def ready(_request: Request) -> Response:
        return await probes.readyz(office.sight)

    async def measured(_request: Request) -> Response:
        return Response(metrics.exposition(await office.sight.look()), media_type=metrics.CONTENT_TYPE)

    return [Route("/livez", probes.livez), Route("/readyz", ready), Route("/metrics", measured)]


async def _answered(answer: Callable[[], Awaitable[Any]]) -> Any:
    """Return the answer. Raises Problem, also where a store is the cause."""
    try:
        return await answer()
    except DriverUnavailable as error:
        raise Problem(503, f"the driver is away: {error}", {"Retry-After": "2"}) from None
    except DriverError as error:
        raise Problem(502, f"the driver refuses: {error}") from None
    except TooBusy:
        raise Problem(503, "too many ask at once", {"Retry-After": "1"}) from None


def _ask(request: Request, office: Office, form: dict[str, str] | None = None) -> Ask:
    return Ask(office, request.scope[PERSON], request.path_params, request.query_params, form or {})


def _page(page: Page, office: Office, rendering: Rendering) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        ask = _ask(request, office)
        found = await _answered(lambda: page.answer(ask))
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        context = {**found, "person": ask.person, "live": ",".join(page.live), "here": here,
                   "done": ask.query.get("done", "")}  # fmt: skip
        return HTMLResponse(rendering.page(page.template, context))

    return endpoint


def _api(answer: Answer, office: Office) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        ask = _ask(request, office)
        return JSONResponse(await _answered(lambda: answer(ask)))

    return endpoint


def _action(action: Action, office: Office) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        ask = _ask(request, office, parse_form(await request.body()))
        about = {"queue": ask.queue, "id": ask.path.get("id"), "task": ask.form.get("task"),
                 "kind": ask.form.get("kind")}  # fmt: skip
        audit = {"who": ask.person.name, "action": action.verb, **about,
                 "address": request.client.host if request.client else "unix"}  # fmt: skip
        if ask.person.role < action.role:
            office.log.warning("audit", **audit, refused="role")
            raise Problem(403, f"{action.verb} is for {action.role.name.lower()}s; "
                               f"{ask.person.name} is {ask.person.role.name.lower()}")  # fmt: skip
        try:
            count = await _answered(lambda: action.act(ask))
        except Problem as problem:
            office.log.warning("audit", **audit, failed=problem.detail)
            raise
        office.log.info("audit", **audit, changed=count)
        back = urlsplit(local_path(ask.form.get("next", "/")))
        kept = [(k, v) for k, v in QueryParams(back.query).multi_items() if k != "done"]
        query = QueryParams([*kept, ("done", f"{action.verb}-{count}")])
        return RedirectResponse(f"{back.path}?{query}", 303)

    return endpoint


async def _follow(request: Request, office: Office, rendering: Rendering, live: Live) -> Response:
    """Stream the live parts of the page at ?at=PATH."""
    at = urlsplit(local_path(request.query_params.get("at", "/")))
    for page in PAGES:
        pattern, _, convertors = compile_path(page.path)
        if found := pattern.match(_unquoted(at.path)):
            path = {name: convertors[name].convert(text) for name, text in found.groupdict().items()}
            ask = Ask(office, request.scope[PERSON], path, QueryParams(at.query))

            async def render(page: Page = page, ask: Ask = ask) -> Fragments:
                context = await _answered(lambda: page.answer(ask))
                here = at.path + (f"?{at.query}" if at.query else "")
                return rendering.fragments(
                    page.template, page.live, {**context, "person": ask.person, "here": here}
                )

            return live.stream((f"{at.path}?{at.query}", ask.person.role), render)
    raise Problem(404, "there is no such page")


def _unquoted(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


def _static(rendering: Rendering) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        found = rendering.static.get(request.scope["path"])
        if found is None:
            raise Problem(404, "there is no such file")
        body, kind = found
        return Response(body, media_type=kind, headers={"Cache-Control": "max-age=31536000, immutable"})

    return endpoint


async def _nothing_there(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise Problem(404, "there is nothing here")
