"""What a type checker has to accept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import procqueue
from procqueue import Call, Failure, Message, Receipt, Retry, Task, current, task


@task
def alone(user_id: int, lang: str = "en") -> str:
    return f"{user_id} {lang}"


@task(
    queue="emails",
    name="shop.welcome",
    aliases=["shop.greet"],
    max_attempts="forever",
    retry_seconds=[5, 30, "5m"],
    retry_on=(OSError,),
    fail_on=KeyError,
    handle_timeout="30s",
    kill_after=5,
    on_timeout="park",
    max_crashes=2,
)
def welcome(user_id: int, *tags: str, lang: str = "en") -> None:
    print(user_id, tags, lang)
    message: Message = current()
    with message.shield():
        message.extend("1m")
    if message.last:
        message.release("10s")
    raise Retry(after="10s")


growing = task(retry_seconds={"base": 5, "factor": 2, "max": "1h"}, name="shop.growing")(lambda: None)


@welcome.on_failed
def tell(failure: Failure) -> None:
    print(failure.message.id, failure.outcome, failure.exception, failure.cause)


text: str = alone(42, lang="fr")
whole: Task[..., None] = welcome
receipt: Receipt = alone.push(42, "fr")
receipt = alone.push(user_id=42)
receipt = welcome.push(42, "a", "b", lang="fr")
receipt = welcome.using(delay="10m", queue="slow", id="order-7").push(42)
receipt = welcome.using(delay=timedelta(minutes=1)).push(42, lang="fr")
receipt = welcome.using(at=datetime.now(UTC)).push(42)
receipt = welcome.using(id="order-7", remember="1h").push(42)
call: Call = welcome.call(42, lang="fr")
many: procqueue.PushedMany = welcome.push_many((welcome.call(number) for number in range(3)), chunk=50)
count: int = many.queued + many.duplicates
receipt = procqueue.push("shop.anything", 1, 2, whatever=3)
receipt = procqueue.using(queue="emails").push("shop.anything", 1)
procqueue.connect("redis://localhost", push_timeout="2s")
procqueue.close()


async def main() -> None:
    receipt: Receipt = await welcome.apush(42)
    receipt = await welcome.using(delay=1).apush(42, lang="fr")
    receipt = await procqueue.using(delay=1).apush("shop.anything", 1)
    async with current().shield():
        print(receipt.id, receipt.queue, receipt.outcome == "duplicate")
    await procqueue.aclose()


asyncio.run(main())
