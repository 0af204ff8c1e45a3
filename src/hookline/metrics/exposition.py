"""Numbers in, the text that Prometheus reads out: format 0.0.4, which every scraper knows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hookline.metrics.definitions import FAMILIES, Family, Kind, Numbers

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Processes = Mapping[str, Mapping[str, float]]
"""What each process takes, by the member's number; under no name where it is alone."""


def text_of(numbers: Numbers, processes: Processes) -> bytes:
    """Print all metrics, from a registry of this one answer's."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found([*_ours(numbers), *_of_processes(processes), *_platform()]))
    return generate_latest(registry)


def own_process() -> dict[str, float]:
    """Return what this process takes: memory, CPU, descriptors; nothing where that isn't told."""
    return {
        sample.name: sample.value
        for metric in ProcessCollector(registry=None).collect()
        for sample in metric.samples
    }


class _Found(Collector):
    """Gives what was found already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _ours(numbers: Numbers) -> Iterator[Metric]:
    for name, family in FAMILIES.items():
        if name in numbers:
            yield _metric(name, family, numbers[name])


def _metric(name: str, family: Family, series: Mapping[tuple[str, ...], list[float]]) -> Metric:
    match family.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(name, family.help, labels=family.labels)
            for values, [number] in series.items():
                counter.add_metric(values, number)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(name, family.help, labels=family.labels)
            for values, [number] in series.items():
                gauge.add_metric(values, number)
            return gauge
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
            bounds = [*map(str, family.bounds), "+Inf"]
            for values, [*counts, total] in series.items():
                buckets = list(zip(bounds, accumulate(counts), strict=True))
                histogram.add_metric(values, buckets, total)
            return histogram


def _of_processes(processes: Processes) -> Iterator[Metric]:
    """Yield what processes take, each by its member's number where there are several."""
    for metric in ProcessCollector(registry=None).collect():
        [named] = metric.samples
        metric.samples = []
        for member, taken in processes.items():
            if named.name in taken:
                labels = {"member": member} if member else {}
                metric.add_sample(named.name, labels, taken[named.name])
        yield metric


def _platform() -> Iterable[Metric]:
    return PlatformCollector(registry=None).collect()
