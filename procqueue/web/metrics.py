"""/metrics: what the master says of queues and consumers, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from procqueue.web.sight import Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(seen: Seen) -> bytes:
    """Return what a scraper reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Seen(seen))
    return generate_latest(registry)


class _Seen(Collector):
    """One look at the master as metrics."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """Yield everything."""
        status = self._seen.status
        up = not self._seen.wrong
        yield GaugeMetricFamily("procqueue_master_up", "Whether the master answers.", value=up)
        if not status or not up:
            return  # old figures would be taken for new ones
        yield InfoMetricFamily("procqueue_build", "What runs.", {"version": status["master"]["version"]})
        yield GaugeMetricFamily("procqueue_problems", "Problems in status.", value=len(status["problems"]))
        yield from _of_queues(status["queues"])


def _of_queues(queues: dict[str, Any]) -> Iterator[Metric]:
    messages = GaugeMetricFamily("procqueue_queue_messages", "Messages by state.", labels=("queue", "state"))
    backlog = GaugeMetricFamily(
        "procqueue_queue_backlog", "What waits to be handled now, for autoscalers.", labels=("queue",)
    )
    oldest = GaugeMetricFamily(
        "procqueue_queue_oldest_age_seconds", "For how long the head has been waiting.", labels=("queue",)
    )
    paused = GaugeMetricFamily("procqueue_queue_paused", "Whether the queue is paused.", labels=("queue",))
    wanted = GaugeMetricFamily("procqueue_consumers_desired", "Consumers that are wanted.", labels=("queue",))
    consumers = GaugeMetricFamily("procqueue_consumers", "Consumers by state.", labels=("queue", "state"))
    for name, queue in queues.items():
        for state, count in queue["counts"].items():
            if count is not None:
                messages.add_metric((name, state), count)
        if queue["counts"]["waiting"] is not None:
            backlog.add_metric((name,), queue["counts"]["waiting"] + queue["counts"]["inbox"])
        oldest.add_metric((name,), queue["oldest"] or 0.0)
        paused.add_metric((name,), bool(queue["paused"]))
        wanted.add_metric((name,), queue["wanted"])
        for state in ("starting", "ready", "busy", "stopping", "backing-off", "stopped-by-signal"):
            number = sum(one["state"] == state for one in queue["consumers"])
            consumers.add_metric((name, state), number)
    yield from (messages, backlog, oldest, paused, wanted, consumers)
