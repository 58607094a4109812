"""Messages in Redis (≥ 6.2) or Valkey. driver.py has the verbs, lua/ what each does in one atomic step."""

import procqueue.drivers.redis.lean  # noqa: F401 - before anything imports from redis-py

# isort: split
from procqueue.drivers.redis.driver import RedisDriver

__all__ = ["RedisDriver"]
