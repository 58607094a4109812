"""What a type checker has to report: each line marked so, and no other."""

from __future__ import annotations

import procqueue
from procqueue import current, task


@task
def alone(user_id: int, lang: str = "en") -> str:
    return f"{user_id} {lang}"


@task(queue="emails")
def welcome(user_id: int, *, lang: str = "en") -> None: ...


class Thumb:
    def handle(self, path: str, size: int = 3) -> bool:
        return size > len(path)


thumb = task(queue="images")(Thumb)
thumb.push(1)  # error
thumb.push()  # error
thumb.using(delay=1).push("a.png", size="large")  # error
procqueue.on("no_such_event")  # error
procqueue.queue("emails").retry(limit="all")  # error
procqueue.queue("emails").forget(colour="red")  # error


alone("42")  # error
number: int = alone(42)  # error
alone.push()  # error
alone.push("42")  # error
alone.push(42, long="fr")  # error
welcome.push(42, "fr")  # error
welcome.using(delay="10m").push("42")  # error
welcome.using(42)  # error
welcome.using(dellay="10m")  # error
welcome.call(lang="fr")  # error
welcome.push_many([42])  # error
print(welcome.push(42).outcome == "unknown")  # error
procqueue.push(42)  # error
print(procqueue.no_such_name)  # error
current().id = 7  # error
task(qeue="emails")  # error
task(max_attempts=[3])  # error


@welcome.on_failed  # error
def tell(failure: int) -> None: ...


async def main() -> None:
    await alone.apush("42")  # error
    await welcome.using(delay=1).apush()  # error
