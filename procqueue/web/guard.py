"""The guard before everything else: who may pass, and how much of anything one may send or take.

Pure ASGI, so that nothing of a request is read before it is decided. In this order: method, host (a foreign
name is DNS rebinding), origin (a change asked for by another site), size and time of the body, credential.
Deadlines of heads and of readers are the protocol's (protocol.py), roles of actions those of app.py.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from procqueue.process.log import Log
from procqueue.web.credentials import BadTokens, Credentials, Failures, Person, Role
from procqueue.web.problems import Problem, answer, wants_json
from procqueue.web.rendering import Rendering

#: Where the middleware leaves who asks.
PERSON = "procqueue.person"

MOST_BODY = 1 << 20
BODY_SECONDS = 10.0
_MOST_DIGITS = 20
#: Nobody has to say who he is here: probes tell nothing but yes or no, the rest is the way in.
_PROBES = ("/livez", "/readyz")
_SESSION = "/session"

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with that, browsers send `Origin: null` beside our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Stands before `app`. `hosts`: by which names it may be called; all if None."""

    def __init__(
        self,
        app: ASGIApp,
        credentials: Credentials,
        hosts: Collection[str] | None,
        rendering: Rendering,
        log: Log,
    ) -> None:
        self._app = app
        self._credentials = credentials
        self._hosts = hosts
        self._rendering = rendering
        self._log = log
        self._failures = Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            return
        started = False

        async def safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            try:
                receive = await self._checked(scope, receive)
                if scope["path"] == _SESSION:
                    await self._begin_or_end_session(scope, receive, safely)
                else:
                    await self._app(scope, receive, safely)
            except Problem as problem:
                if started:
                    raise
                await self._answer(scope, problem)(scope, receive, safely)
        except Exception as error:  # whatever it is, the next request is to be answered
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._log.error(
                "failed", path=scope["path"][:200], why=f"{type(error).__name__}: {error}"[:500],
                at=f"{place.filename}:{place.lineno}",
            )  # fmt: skip
            if not started:
                fault = Problem(500, "this is a fault of procqueue; the log of `web` says more")
                await self._answer(scope, fault)(scope, receive, safely)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        """Return how the body is read, once it is known that the request may pass. Raises Problem."""
        headers = Headers(scope=scope)
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "HEAD", "POST"):
            raise Problem(405, f"{method[:20]} is not spoken here", {"Allow": "GET, HEAD, POST"})
        host = headers.get("host", "")
        if path not in _PROBES and not self._knows(host):
            raise Problem(421, f"{host[:100]!r} is no name of this server; [web] allowed_hosts adds some")
        if method == "POST" and _is_foreign(headers, host):
            raise Problem(403, "this change was asked for by another site")
        receive = await _limited(scope, headers, receive)
        if path in _PROBES or path in self._rendering.static or path == _SESSION:
            return receive
        person = self._who(scope, headers)
        if method == "POST" and person.role < Role.OPERATOR:
            raise Problem(
                403, f"{person.name} is a {person.role.name.lower()}, who may look and change nothing"
            )
        scope[PERSON] = person
        return receive

    def _knows(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return name.lower() in self._hosts

    def _who(self, scope: Scope, headers: Headers) -> Person:
        """Return who asks. Raises Problem."""
        try:
            bearer = headers.get("authorization", "")
            if bearer:
                kind, _, token = bearer.partition(" ")
                return self._of_token(scope, token.strip() if kind.lower() == "bearer" else "")
            for cookie in headers.getlist("cookie"):
                value = cookie_parser(cookie).get(_cookie_name(scope), "")
                if value and (person := self._credentials.of_session(value)):
                    return person
        except BadTokens as error:
            raise Problem(503, f"nobody can be let in: {error}") from None
        raise Problem(401, "say who you are: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def _of_token(self, scope: Scope, token: str) -> Person:
        address = _address(scope)
        if self._failures.are_too_many(address):
            raise Problem(
                429, "too many wrong tokens from this address: wait a minute", {"Retry-After": "60"}
            )
        person = self._credentials.of_token(token)
        if person is None:
            self._failures.note(address)
            self._log.warning("refused", address=address, why="wrong token")
            raise Problem(401, "this is not a token of this server", {"WWW-Authenticate": "Bearer"})
        return person

    async def _begin_or_end_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trade a token for a cookie, or, without one, take the cookie back."""
        if scope["method"] != "POST":
            raise Problem(405, "a session begins with POST", {"Allow": "POST"})
        form = parse_form((await receive()).get("body", b""))
        response = Response(None, 303, {"Location": local_path(form.get("next", "/"))})
        if "token" in form:
            try:
                person = self._of_token(scope, form["token"].strip())
                session = self._credentials.session(person)
            except BadTokens as error:
                raise Problem(503, f"nobody can be let in: {error}") from None
            self._log.info("audit", who=person.name, action="sign_in", address=_address(scope))
            response.set_cookie(_cookie_name(scope), session, path="/", httponly=True, samesite="strict",
                                secure=scope["scheme"] == "https")  # fmt: skip
        else:
            response.delete_cookie(_cookie_name(scope), path="/", httponly=True, samesite="strict")
        await response(scope, receive, send)

    def _answer(self, scope: Scope, problem: Problem) -> Response:
        if problem.status == 401 and scope["method"] in ("GET", "HEAD") and not wants_json(scope):
            here = scope["path"] + (
                f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
            )
            return Response(
                self._rendering.page("sign_in.html", {"next": here}), 401, problem.headers, "text/html"
            )
        return answer(scope, problem, self._rendering)


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Raises Problem."""
    from urllib.parse import parse_qsl

    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise Problem(400, "this is no form: send application/x-www-form-urlencoded") from None
    return dict(pairs)


def local_path(written: str) -> str:
    """Return a path of this server to go to; anything else that was written is the beginning."""
    parts = urlsplit(written)
    if not written.startswith("/") or written.startswith(("//", "/\\")) or parts.scheme or parts.netloc:
        return "/"
    return written if written.isprintable() and "\\" not in written else "/"


def _cookie_name(scope: Scope) -> str:
    # Cookies know no ports: two dashboards on one machine would take each other's.
    server = scope.get("server")
    return f"procqueue-{server[1]}" if server and server[1] else "procqueue"


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else "unix"


def _is_foreign(headers: Headers, host: str) -> bool:
    """Return whether another site's page sends this; who says nothing of the kind is no browser."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != host


async def _limited(scope: Scope, headers: Headers, receive: Receive) -> Receive:
    """Read the whole body, which is small and soon there, or raise Problem; return who hands it out."""
    if "transfer-encoding" in headers:
        raise Problem(411, "say how long the body is: Content-Length", {"Connection": "close"})
    length = headers.get("content-length", "0")
    too_large = Problem(413, f"a body has at most {MOST_BODY} bytes", {"Connection": "close"})
    if not length.isdecimal() or len(length) > _MOST_DIGITS or int(length) > MOST_BODY:
        raise too_large
    if length == "0" or scope["method"] != "POST":
        return receive
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the body ended early")
                body += message.get("body", b"")
                if len(body) > MOST_BODY:
                    raise too_large
                if not message.get("more_body"):
                    break
    except TimeoutError:
        raise Problem(408, f"a body has to come within {BODY_SECONDS:g} s", {"Connection": "close"}) from None
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
