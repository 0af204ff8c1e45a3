"""Prometheus metrics: this process's numbers, its siblings' and what all processes know, as text.

The text is format 0.0.4, which every scraper knows.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from hookline import __version__
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.circuit_breaker import HealthMonitor
from hookline.dispatch.engine import Engine
from hookline.dispatch.lanes import Lanes
from hookline.domain.health import HealthState
from hookline.errors import Unavailable
from hookline.history.stream_readers import StreamEnd
from hookline.logs import get_logger
from hookline.metrics.counters import Counters
from hookline.metrics.definitions import FAMILIES, Family, Kind, Numbers, Refusal
from hookline.metrics.multiprocess import WorkerMetricsFiles, added
from hookline.metrics.system import Held

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Processes = Mapping[str, Mapping[str, float]]
"""What each process takes, by the worker's number; under no name where it is alone."""
_PATIENCE: Final = 2.0  # seconds that the database has to answer: a scrape may take ten
_FRESH: Final = 1.0  # seconds that its answer is used for, so that scrapes cost it little
_LOG = get_logger(__name__)


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
    """Yield what processes take, each by its worker's number where there are several."""
    for metric in ProcessCollector(registry=None).collect():
        [named] = metric.samples
        metric.samples = []
        for worker, taken in processes.items():
            if named.name in taken:
                labels = {"worker": worker} if worker else {}
                metric.add_sample(named.name, labels, taken[named.name])
        yield metric


def _platform() -> Iterable[Metric]:
    return PlatformCollector(registry=None).collect()


@dataclass(frozen=True, slots=True)
class Delivering:
    """The parts of this process's engine."""

    engine: Engine
    lanes: Lanes
    health: HealthMonitor

    def held(self) -> Held:
        """Return how much is in this engine's hands."""
        return Held(self.lanes.held, sum(self.lanes.in_flight().values()))

    def gauges(self) -> Numbers:
        """Return what is in this engine's hands."""
        return {
            "hookline_engines_running": {(): [float(self.engine.alive)]},
            "hookline_deliveries_leased": {(): [self.lanes.held]},
            "hookline_deliveries_leased_limit": {(): [self.lanes.most_held]},
            "hookline_attempts_in_flight": {(): [sum(self.lanes.in_flight().values())]},
        }


class Streaming(Protocol):
    """Counts this process's streams."""

    @property
    def most(self) -> int:
        """How many may be open."""

    @property
    def sent(self) -> int:
        """How many deliveries were sent, once for each stream."""

    @property
    def ended(self) -> Mapping[StreamEnd, int]:
        """How many have ended, by reason."""

    @property
    def open_now(self) -> int:
        """How many are open."""


class Metrics:
    """Answers scrapes.

    `count_by_state` asks the database how many integrations are in each state; `refused_keys` and
    `refused_rate` are read where they are counted. `worker_files` are all worker processes'.
    """

    def __init__(  # noqa: PLR0913 - the composition root hands over each part by name
        self,
        counters: Counters,
        backpressure: Backpressure,
        count_by_state: Callable[[], Awaitable[Mapping[HealthState, int]]],
        *,
        refused_keys: Callable[[], int],
        refused_rate: Callable[[], int],
        streams: Streaming,
        delivering: Delivering | None = None,
        worker_files: WorkerMetricsFiles | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counted = counters
        self._backpressure = backpressure
        self._count_by_state = count_by_state
        self._refused_keys = refused_keys
        self._refused_rate = refused_rate
        self._streams = streams
        self._delivering = delivering
        self._worker_files = worker_files
        self._clock = clock
        self._asking = asyncio.Lock()
        self._states: Numbers = {}
        self._asked_at = -_FRESH

    async def text(self) -> bytes:
        """Return all metrics in Prometheus' text format.

        While the database is away, what only it knows is missing. Raises OSError where a worker
        process cannot write its numbers: an answer without them could be lower than the last.
        """
        shared = self._shared() | await self._asked()
        if self._worker_files is None:
            return text_of(self._counters() | self._gauges() | shared, {"": own_process()})
        await self._write(self._worker_files)
        written = await self._worker_files.read()
        living = [each for each in written if self._worker_files.alive(each)]
        counters = added(each.counters for each in written)
        gauges = added(each.gauges for each in living)
        processes = {str(each.worker): each.process for each in living}
        return text_of(counters | gauges | shared, processes)

    async def write(self) -> None:
        """Write a worker process's numbers, so that they outlive it. Raises OSError."""
        if self._worker_files is not None:
            await self._write(self._worker_files)

    async def _write(self, worker_files: WorkerMetricsFiles) -> None:
        await worker_files.write(self._counters(), self._gauges(), own_process())

    def _counters(self) -> Numbers:
        numbers = self._counted.numbers()
        numbers["hookline_keys_refused_total"][()] = [self._refused_keys()]
        numbers["hookline_events_refused_total"][Refusal.RATE,] = [self._refused_rate()]
        if self._delivering is not None:
            held_back = self._delivering.lanes.pace.held_back
            numbers["hookline_attempts_held_back_total"][()] = [held_back]
        numbers["hookline_stream_deliveries_total"][()] = [self._streams.sent]
        numbers["hookline_streams_ended_total"] = {
            (reason,): [count] for reason, count in self._streams.ended.items()
        }
        return numbers

    def _gauges(self) -> Numbers:
        """Return what is so in this process: worker processes add theirs up."""
        own: Numbers = {
            "hookline_processes": {(): [1.0]},
            "hookline_streams": {(): [self._streams.open_now]},
            "hookline_streams_limit": {(): [self._streams.most]},
        }
        return own if self._delivering is None else own | self._delivering.gauges()

    def _shared(self) -> Numbers:
        """Return what every process knows alike, this one as well as any."""
        known: Numbers = {
            "hookline_build_info": {(__version__,): [1.0]},
            "hookline_deliveries_pending": {(): [self._backpressure.pending]},
            "hookline_deliveries_pending_limit": {(): [self._backpressure.most_pending]},
        }
        if self._delivering is not None:
            known["hookline_lanes_paused"] = {(): [len(self._delivering.health.paused())]}
        return known

    async def _asked(self) -> Numbers:
        """Return what the database says, now or a moment ago; nothing of it while it is away."""
        async with self._asking:
            if self._clock() - self._asked_at >= _FRESH:
                self._states = await self._ask()
                self._asked_at = self._clock()
            return self._states

    async def _ask(self) -> Numbers:
        try:
            async with asyncio.timeout(_PATIENCE):
                states = await self._count_by_state()
        except (Unavailable, TimeoutError):
            return {"hookline_database_up": {(): [0.0]}}
        return {
            "hookline_database_up": {(): [1.0]},
            "hookline_integrations": {(state,): [count] for state, count in states.items()},
        }
