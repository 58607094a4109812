"""What each process that opens Redis would load for itself; imported before the fork, it is there once."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - what getaddrinfo imports at its first name

from procqueue.drivers.redis.connection import quiet_options
from procqueue.drivers.redis.driver import RedisDriver as RedisDriver
from procqueue.drivers.redis.scripts import PARTS, script

quiet_options()
for _verb in PARTS:
    script(_verb)
