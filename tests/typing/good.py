"""What a type checker has to accept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import procqueue
from procqueue import Call, Event, Failure, Message, Receipt, Retry, Task, current, task


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


class Thumb:
    def setup(self) -> None: ...
    def handle(self, path: str, size: int = 3) -> bool:
        return size > len(path)

    def failed(self, failure: Failure) -> None: ...


thumb = task(queue="images")(Thumb)
small: bool = thumb("a.png", size=2)
thumb.push("a.png", 200)
also: Task[..., bool] = task(Thumb)


@procqueue.on("before_handle", "failed_handle")
def note(event: Event) -> None:
    print(event.name, event.message and event.message.id, event.seconds)


@procqueue.around
def tenant(message: Message, run: Callable[[], Any]) -> Any:
    return message.last and run()


@procqueue.consumer_setup
@procqueue.consumer_teardown
def prepare() -> None: ...


emails: procqueue.Queue = procqueue.queue("emails")
waiting: int = emails.counts().waiting
for one in emails.messages("failed", task="shop.welcome", older_than="7d", args={"user_id": 42}):
    print(one.error, one.pushed_at, [run.traceback for run in one.history])
retried: int = emails.retry(error="timed out", limit=1000, rate="50/s", dry_run=True).count
gone = emails.forget("id-1", "id-2").missing

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
    async for one in emails.amessages("waiting"):
        print(one.id)
    print((await emails.aretry(task="shop.welcome")).count)
    await procqueue.aclose()


asyncio.run(main())
