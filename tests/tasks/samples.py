"""Tasks at the top of a module, as applications declare them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    city: str
    zip: int
    avatar: object = None


@dataclass
class Customer:
    name: str
    home: Address
    colour: Colour = Colour.RED


def plain(user_id: int, lang: str = "en") -> str:
    return f"{user_id} {lang}"


def later_defined(thing: Later) -> Later:
    return thing


@dataclass
class Later:
    size: int


class Mailer:
    def send(self) -> None: ...
