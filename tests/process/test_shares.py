"""Serving by weight: shares where all have messages, no time lost where some have none."""

from procqueue.process.consumer.shares import Shares


def serve(shares: Shares, stored: dict[str, int], times: int, take: int = 1) -> list[str]:
    """Take so often from the first queue that has something; return from which."""
    came = []
    for _ in range(times):
        order = shares.order()
        place = next((n for n, queue in enumerate(order) if stored[queue]), None)
        if place is None:
            break
        number = min(take, stored[order[place]])
        stored[order[place]] -= number
        shares.took(order[place], number, order[:place])
        came += [order[place]] * number
    return came


def test_without_weights_the_order_is_strict() -> None:
    assert serve(Shares(["a", "b"]), {"a": 3, "b": 2}, 9) == ["a", "a", "a", "b", "b"]


def test_each_has_its_share_while_both_have_messages() -> None:
    came = serve(Shares(["urgent", "emails"], [3, 1]), {"urgent": 1000, "emails": 1000}, 400)

    assert came.count("urgent") == 300 and came.count("emails") == 100
    assert all(came[n : n + 8].count("emails") >= 1 for n in range(len(came) - 8)), "evenly spread"


def test_the_share_is_one_of_messages_however_many_come_at_once() -> None:
    came = serve(Shares(["urgent", "emails"], [3, 1]), {"urgent": 10_000, "emails": 10_000}, 100, take=20)

    assert abs(came.count("urgent") - 3 * came.count("emails")) <= 80


def test_who_is_alone_has_all_and_who_had_nothing_saves_nothing_up() -> None:
    shares = Shares(["urgent", "emails"], [3, 1])
    assert serve(shares, {"urgent": 0, "emails": 500}, 500) == ["emails"] * 500

    came = serve(shares, {"urgent": 1000, "emails": 1000}, 400)

    assert 298 <= came.count("urgent") <= 303
