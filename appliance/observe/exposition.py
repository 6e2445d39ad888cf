"""Prometheus' text of a snapshot, by prometheus_client with a collector of our own.

    text = expose(snapshot, {"answered": 3})       bytes; the kind is CONTENT_TYPE

Histograms of nanoseconds in log-linear buckets become classic ones with two bounds a power of two:
counts are exact, since every bound is one of theirs. Their sum is taken from the middles of the
buckets, so it is at most 1/32 off.
"""

from functools import cache

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

from ..hot.counters import bucket_floor
from ..layout.shared import HISTOGRAM_CNT
from .series import COUNTER, HISTOGRAM, INFO, families

LG_LOW, LG_HIGH = 8, 33              # bounds from 256 ns to 8.6 s
EXPORTER = ("wirematch_exporter_connections_total",
            "connections to this port by how they ended; evicted ones asked for nothing")

__all__ = ["CONTENT_TYPE", "expose"]


@cache
def _edges():
    """(first bucket at or above each bound, bounds in seconds as text, middles in seconds)."""
    floors = np.array([bucket_floor(i) for i in range(HISTOGRAM_CNT - 64)], np.float64)
    bounds = sorted(base << lg for lg in range(LG_LOW, LG_HIGH) for base in (1, 3))
    bounds = [bound for bound in bounds if bound <= 1 << LG_HIGH]
    middles = (floors + np.append(floors[1:], floors[-1])) / 2e9
    return np.searchsorted(floors, bounds), [f"{bound / 1e9:.9g}" for bound in bounds], middles


def buckets(histogram) -> tuple[list, float]:
    """([(le, values up to it), ...] with +Inf last, their sum in seconds)."""
    starts, bounds, middles = _edges()
    passed = np.concatenate(([0], np.cumsum(histogram)))
    rows = [(bound, float(passed[start])) for bound, start in zip(bounds, starts, strict=True)]
    total = float(histogram[:len(middles)] @ middles)
    return [*rows, ("+Inf", float(passed[-1]))], total


class _Collector:
    def __init__(self, snapshot, connections):
        self.snapshot, self.connections = snapshot, connections

    def collect(self):
        """One metric family of prometheus_client after another."""
        for family in families(self.snapshot):
            yield self._family(family)
        exporter = CounterMetricFamily(*EXPORTER, labels=("outcome",))
        for name, count in self.connections.items():
            exporter.add_metric((name,), count)
        yield exporter

    def _family(self, family):
        names = tuple(family.samples[0][0])
        if family.kind == HISTOGRAM:
            made = HistogramMetricFamily(family.name, family.text, labels=names)
            for labels, counts in family.samples:
                rows, total = buckets(counts)
                made.add_metric(tuple(labels.values()), rows, total)
            return made
        if family.kind == INFO:
            made = InfoMetricFamily(family.name.removesuffix("_info"), family.text)
            for labels, _ in family.samples:
                made.add_metric((), labels)
            return made
        kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
        made = kind(family.name, family.text, labels=names)
        for labels, value in family.samples:
            made.add_metric(tuple(labels.values()), value)
        return made


def expose(snapshot, connections: dict) -> bytes:
    """The text of /metrics. connections: the server's own counts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot, connections))
    return generate_latest(registry)
