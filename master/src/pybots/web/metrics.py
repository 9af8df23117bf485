"""`/metrics` in Prometheus' format: this process's requests and statements, and the farm's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import event

from pybots.farm.home import Farm
from pybots.farm.views import numbers

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.06, 0.1, 0.25, 1.0, 5.0)
FIRST_PARTS: Final = frozenset(
    {
        "", "waterfall", "projects", "project", "lane", "commit", "run", "breakage", "workers",
        "worker", "release", "mail", "tree", "join", "legend", "stats", "answer", "api", "events",
        "feed", "badge", "static", "hook", "healthz", "metrics",
    }
)  # fmt: skip
"""The label `page`: the first part of a known address. Visitors must not be able to make up new ones."""


class Metrics:
    """Counts what this process does. Safe for threads."""

    def __init__(self, farm: Farm) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pybots_web_requests", "Requests answered.", ("page", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "pybots_web_request_seconds", "Time to the whole answer, streams left out.", ("page",),
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.statements = Counter(
            "pybots_web_statements", "Statements sent to the ledger.", registry=self.registry
        )
        self.streams = Gauge(
            "pybots_web_streams", "Readers with an open event stream.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(_FarmNumbers(farm))
        event.listen(farm.ledger.engine, "before_cursor_execute", self._statement)

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement != "BEGIN":
            self.statements.inc()

    def answered(self, path: bytes, status: int, seconds: float) -> None:
        """One request is done."""
        first = path.decode("ascii", "replace").lstrip("/").partition("/")[0].partition("?")[0]
        page = first if first in FIRST_PARTS else "other"
        self.requests.labels(page or "console", str(status)).inc()
        if page != "events":
            self.seconds.labels(page or "console").observe(seconds)

    def text(self) -> bytes:
        """Everything as Prometheus reads it. Blocks: it reads the ledger."""
        return generate_latest(self.registry)


class _FarmNumbers(Collector):
    """The farm's own numbers, read when somebody asks."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    def describe(self) -> list[Any]:
        return []  # else registering would read a ledger that may not be there yet

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for gauge in numbers.gauges(self._farm):
            family = GaugeMetricFamily(gauge.name, gauge.words, labels=gauge.labels)
            for labels, value in gauge.values:
                family.add_metric(labels, value)
            yield family
