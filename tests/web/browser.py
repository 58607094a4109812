"""Requests over a real socket, as a browser, a program or an attacker sends them."""

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Browser:
    """Somebody who asks; `headers` go with each request."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)
    source: str = "127.0.0.1"  # any of 127.0.0.0/8: wrong tokens are counted by address

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.send("GET", path, **headers)

    def post(self, path: str, form: dict[str, Any] | None = None, **headers: str) -> Answer:
        """POST a form, as a page of the site does."""
        given = {"Content-Type": "application/x-www-form-urlencoded", **named(headers)}
        return self._ask("POST", path, urlencode(form or {}).encode(), given)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send anything; `Sec_Fetch_Site` is Sec-Fetch-Site."""
        return self._ask(method, path, body, named(headers))

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(self.source, 0)
        )
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()


def named(headers: dict[str, str]) -> dict[str, str]:
    """Return headers by their own names."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def raw(port: int, data: bytes, seconds: float = 20.0) -> bytes:
    """Send bytes and return all that comes until the other end closes, or nothing more comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(data)
            found = b""
            while more := connection.recv(65536):
                found += more
        except ConnectionError:
            pass
        return found
