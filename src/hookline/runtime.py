"""The composition root: opens everything in order, and closes it in reverse.

Read `open_runtime` from top to bottom: database, records, queue and sinks, jobs, engine, ingest,
services. Settings end here; what is below gets plain values.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from asyncpg import Pool

from hookline import memory
from hookline.api.cpu_shares import CpuShares, share_beside_others
from hookline.api.dependencies import Services
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.rate_limits import AuthenticationThrottle, KeyRateLimits
from hookline.api.system import DatabaseAndEngine
from hookline.background import Debounced, Periodic, Tasks, keep_running
from hookline.bootstrap import (
    JobParts,
    Records,
    duplicate_window_of,
    flush_counts,
    keep_database,
    lease_of,
    limits_of,
    open_database,
    open_history,
    open_jobs,
    open_records,
    open_sinks,
    open_system,
)
from hookline.db import connections
from hookline.db.listener import Listener, PendingNotifier
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.cleanup import IntegrationCleanup
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.jobs import JobRunner
from hookline.dispatch.manual import ManualRetries, Tester
from hookline.dispatch.notices import Notices
from hookline.dispatch.peers import CONNECT_EVERY, PRESENT_EVERY, Peers, Present
from hookline.domain.access import Tenant
from hookline.domain.targets import TransmissionType
from hookline.engine_setup import EngineParts, open_engine
from hookline.history.jobs import JOBS_CHANNEL
from hookline.history.roll_ups import FilteredEvents
from hookline.history.streams import Streams
from hookline.integrations.event_types import EventTypeService, UnknownTypes
from hookline.integrations.health import HEALTH_CHANNEL, StateCounts
from hookline.integrations.notices import NOTICES_CHANNEL, Outbox
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import CHANNEL
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.exposition import Delivering, Metrics
from hookline.metrics.multiprocess import WRITE_EVERY, WorkerMetricsFiles
from hookline.queue.port import PENDING_CHANNEL, Claimed
from hookline.queue.postgres import PostgresQueue
from hookline.security.egress.transport import PoolLimits
from hookline.settings import Settings
from hookline.sinks import Sink
from hookline.tracing import Tracing

_MOST_BYTES_IN_HAND = 64 * 1024 * 1024  # payloads of events that one process is storing
_TEST_CONNECTIONS = PoolLimits(idle=0)  # each test delivery connects anew


@dataclass(frozen=True, slots=True)
class _Process:
    """What this process is told to be, and the stack on which its parts close in reverse."""

    settings: Settings
    api: bool
    metrics_file: Path | None
    peer_socket: Path | None
    tracing: Tracing | None
    stack: AsyncExitStack
    cpu_shares: CpuShares


@dataclass(frozen=True, slots=True)
class _Deliveries:
    """The queue, the sinks, and what is notified of changes to either."""

    pool: Pool
    queue: PostgresQueue
    sinks: Mapping[TransmissionType, Sink]
    test_sinks: Mapping[TransmissionType, Sink]
    backpressure: Backpressure
    tasks: Tasks
    notifier: PendingNotifier
    refresher: Debounced


@dataclass(frozen=True, slots=True)
class _Accepting:
    """What accepts events, and what is counted of those."""

    ingest: Ingest
    unknown_types: UnknownTypes
    filtered: FilteredEvents


@dataclass(frozen=True, slots=True)
class _Work:
    """What delivers, if this process does; what accepts; and what works on jobs."""

    engine: EngineParts | None
    accepting: _Accepting
    jobs: JobParts


@asynccontextmanager
async def open_runtime(  # noqa: PLR0913 - what the command line knows
    settings: Settings,
    *,
    engine: bool = True,
    api: bool = True,
    metrics_file: Path | None = None,
    peer_socket: Path | None = None,
    processes: int = 1,
    tracing: Tracing | None = None,
) -> AsyncIterator[Services]:
    """Open this process's part of the service; close it, drained, at the end of the block.

    `engine` says whether deliveries are made here; `api` whether requests are answered, for which
    the first admin key is made sure of. `metrics_file` is for one worker process's numbers;
    at `peer_socket` the others, `processes` with this one, hand it deliveries. With `tracing`,
    attempts are spans.
    Raises ConfigurationError or Unavailable, with a sentence.
    """
    async with AsyncExitStack() as stack:
        shares = CpuShares(share=share_beside_others(processes))
        process = _Process(settings, api, metrics_file, peer_socket, tracing, stack, shares)
        keep_running(stack, Periodic("memory", memory.AfterLoad().check, memory.CHECK_EVERY))
        dsn = await open_database(settings, stack)
        records = await open_records(settings, dsn, stack, api=api)
        deliveries = await _open_deliveries(process, records, dsn)
        jobs = open_jobs(settings, records)
        parts = _open_engine(process, records, deliveries) if engine else None
        accepting = _open_ingest(process, records, deliveries, parts)
        notices = _notices(settings, records, accepting)
        _listen(process, dsn, deliveries, notices, (parts, jobs.runner) if parts else None)
        if parts:
            await parts.start()
            stack.push_async_callback(parts.stop, settings.shutdown_grace)
        flush_counts(accepting.unknown_types, accepting.filtered, stack)
        stack.push_async_callback(accepting.ingest.idle)
        if parts:
            keep_running(stack, parts.breaking)
            keep_running(stack, jobs.runner.periodic)
        keep_running(stack, notices)
        yield _services(process, records, deliveries, _Work(parts, accepting, jobs))


async def _open_deliveries(process: _Process, records: Records, dsn: str) -> _Deliveries:
    settings, stack, subscriptions = process.settings, process.stack, records.subscriptions
    pool = await stack.enter_async_context(connections.pool(dsn, size=settings.database_pool_size))
    await keep_database(settings, records, pool, stack)
    queue = PostgresQueue(
        pool,
        lease_seconds=lease_of(settings),
        duplicate_window=duplicate_window_of(settings),
        observer=records.counters,
    )
    sinks, test_sinks = (
        open_sinks(settings, records.policy, limits, stack, process.tracing)
        for limits in (PoolLimits(idle=settings.max_idle_connections), _TEST_CONNECTIONS)
    )
    backpressure = _backpressure(settings, queue, subscriptions, stack)
    tasks = Tasks()
    stack.push_async_callback(tasks.aclose)
    cleanup = IntegrationCleanup(queue, sinks, test_sinks, tasks=tasks)
    subscriptions.tells(cleanup.integration_changed)
    notifier = PendingNotifier(partial(queue.notify, PENDING_CHANNEL))
    refresher = Debounced("snapshot-refresh", subscriptions.catch_up)
    for each in (notifier, refresher):
        stack.push_async_callback(each.aclose)
    return _Deliveries(pool, queue, sinks, test_sinks, backpressure, tasks, notifier, refresher)


def _backpressure(
    settings: Settings, queue: PostgresQueue, subscriptions: Subscriptions, stack: AsyncExitStack
) -> Backpressure:
    async def count() -> dict[Tenant, int]:
        return subscriptions.by_tenant(await queue.backlog())

    backpressure = Backpressure(
        count,
        most_pending=settings.max_pending,
        most_bytes=_MOST_BYTES_IN_HAND,
        share=settings.max_pending_share,
    )

    def pause() -> float:
        return max(settings.poll_interval, backpressure.counting_pause)

    keep_running(stack, Periodic("backpressure", backpressure.count, pause))
    return backpressure


def _open_engine(process: _Process, records: Records, deliveries: _Deliveries) -> EngineParts:
    return open_engine(
        process.settings,
        queue=deliveries.queue,
        transactions=records.transactions,
        subscriptions=records.subscriptions,
        integrations=records.integrations,
        sinks=deliveries.sinks,
        tasks=deliveries.tasks,
        observer=records.counters,
        stack=process.stack,
        cpu_share=process.cpu_shares.share,
        peer_socket=process.peer_socket,
    )


def _open_ingest(
    process: _Process, records: Records, deliveries: _Deliveries, parts: EngineParts | None
) -> _Accepting:
    delivering, notify = parts.delivering if parts else None, deliveries.notifier.notify
    hand_over = None
    if delivering and (peers := _open_peers(process, parts)) is not None:
        hand_over = HandOver(peers, delivering.lanes, deliveries.queue, notify=notify)
    unknown_types = UnknownTypes(records.transactions, records.catalogue)
    filtered = FilteredEvents(records.engine)
    ingest = Ingest(
        deliveries.queue,
        records.subscriptions,
        delivering.lanes if delivering else None,
        born_lease=deliveries.queue.born_lease,
        start=delivering.engine.take if delivering else _nothing_starts,
        wake=delivering.engine.wake if delivering else notify,
        notify=notify,
        hand_over=hand_over,
        backpressure=deliveries.backpressure,
        unknown_types=unknown_types,
        filtered=filtered,
        observer=records.counters,
        tracing=process.tracing,
    )
    return _Accepting(ingest, unknown_types, filtered)


def _open_peers(process: _Process, parts: EngineParts | None) -> Peers | None:
    """Connect to the worker processes beside this one, and tell them whose requests come here."""
    if parts is None or parts.peers is None or process.peer_socket is None:
        return None
    server, requests = parts.peers, process.cpu_shares.presence
    events = parts.delivering.lanes.pace.presence

    def present(elsewhere: Present) -> None:
        requests.told(elsewhere.requests)
        events.told(elsewhere.events)

    async def tell() -> None:
        if there := requests.lately():
            server.tell(Present(there, events.lately()))

    peers = Peers(process.peer_socket, present)
    process.stack.push_async_callback(peers.aclose)
    keep_running(process.stack, Periodic("peers", peers.look, CONNECT_EVERY))
    keep_running(process.stack, Periodic("peers-present", tell, PRESENT_EVERY))
    return peers


def _nothing_starts(jobs: Sequence[Claimed], _leased_at: float) -> None:
    if jobs:
        raise AssertionError("a process without an engine has leased deliveries")


def _notices(settings: Settings, records: Records, accepting: _Accepting) -> Periodic:
    notices = Notices(Outbox(records.transactions))
    return Periodic(
        "notices", partial(notices.run_once, accepting.ingest.accept), settings.poll_interval
    )


def _listen(
    process: _Process,
    dsn: str,
    deliveries: _Deliveries,
    notices: Periodic,
    engine: tuple[EngineParts, JobRunner] | None,
) -> None:
    """Hear the database's notifications: each is a hint to look at once."""
    listened = {
        CHANNEL: _on_hint(deliveries.refresher.soon),
        NOTICES_CHANNEL: _on_hint(notices.soon),
    }
    membership = None
    if engine:
        parts, runner = engine
        membership = parts.membership
        listened |= {
            HEALTH_CHANNEL: _on_hint(parts.breaking.soon),
            PENDING_CHANNEL: parts.engine.notified,
            JOBS_CHANNEL: _on_hint(runner.periodic.soon),
        }
    keep_running(process.stack, Listener(dsn, listened, membership))


def _on_hint(soon: Callable[[], None]) -> Callable[[str], None]:
    return lambda _payload: soon()


def _services(
    process: _Process, records: Records, deliveries: _Deliveries, work: _Work
) -> Services:
    settings, stack, keys = process.settings, process.stack, records.keys
    transactions, subscriptions = records.transactions, records.subscriptions
    history, statistics, streams = open_history(settings, records, stack)
    guards = throttle, rate_limits = AuthenticationThrottle(keys), _rate_limits(settings)
    notify, jobs = deliveries.notifier.notify, work.jobs
    delivering = work.engine.delivering if work.engine else None
    return Services(
        integrations=records.integrations,
        pbxs=PbxService(transactions, retention_days=settings.retention_days),
        keys=keys,
        key_records=records.key_records,
        event_types=EventTypeService(transactions, records.catalogue, subscriptions.refresh),
        unknown_types=work.accepting.unknown_types,
        ingest_authorisation=IngestAuthorisation(keys, subscriptions, rate_limits.charge_cpu),
        authentication_throttle=throttle,
        rate_limits=rate_limits,
        bodies=BodyMemory(settings.max_body_memory, largest=settings.max_batch_bytes),
        reads=ConcurrentReads(settings.database_pool_size),
        cpu_shares=process.cpu_shares,
        time_slices=TimeSlices(rate_limits.charge_cpu),
        limits=limits_of(settings),
        ingest=work.accepting.ingest,
        history=history,
        statistics=statistics,
        streams=streams,
        retries=ManualRetries(history, subscriptions, deliveries.queue, notify=notify),
        jobs=jobs.jobs,
        replays=jobs.replays,
        trials=FilterTrials(history, subscriptions, records.catalogue),
        tester=_tester(settings, records, deliveries),
        readiness=DatabaseAndEngine(records.engine, work.engine.engine if work.engine else None),
        metrics=_open_metrics(process, records, deliveries, delivering, streams, guards),
        system=open_system(
            settings, records, deliveries.pool, stack, delivering=delivering, api=process.api
        ),
    )


def _tester(settings: Settings, records: Records, deliveries: _Deliveries) -> Tester:
    return Tester(
        records.subscriptions,
        deliveries.test_sinks,
        records.catalogue,
        timeout=settings.delivery_timeout,
    )


def _open_metrics(  # noqa: PLR0913, PLR0917 - each part that has numbers
    process: _Process,
    records: Records,
    deliveries: _Deliveries,
    delivering: Delivering | None,
    streams: Streams,
    refusing: tuple[AuthenticationThrottle, KeyRateLimits],
) -> Metrics:
    throttle, rate_limits = refusing
    file = process.metrics_file
    metrics = Metrics(
        records.counters,
        deliveries.backpressure,
        StateCounts(records.transactions).by_state,
        refused_keys=lambda: throttle.refused,
        refused_rate=lambda: rate_limits.refused_events,
        streams=streams,
        delivering=delivering,
        worker_files=WorkerMetricsFiles(file) if file else None,
    )
    if file:
        keep_running(process.stack, Periodic("metrics", metrics.write, WRITE_EVERY))
    return metrics


def _rate_limits(settings: Settings) -> KeyRateLimits:
    return KeyRateLimits(
        requests_per_second=settings.requests_per_second,
        changes_per_second=settings.changes_per_second,
        events_per_second=settings.events_per_second,
    )
