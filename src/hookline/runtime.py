"""The composition root: opens everything in order, and closes it in reverse.

Read `open_runtime` from top to bottom: database, records, queue, sinks, engine, services. Settings
end here; what is below gets plain values.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from hookline import memory
from hookline.api.cpu_shares import CpuShares
from hookline.api.dependencies import Services
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.rate_limits import AuthenticationThrottle, KeyRateLimits
from hookline.api.system import DatabaseAndEngine
from hookline.background import Debounced, Periodic, Tasks, keep_running
from hookline.bootstrap import (
    delivery_connections,
    duplicate_window_of,
    flush_counts,
    keep_database,
    keyring_of,
    lease_of,
    limits_of,
    open_database,
    open_history,
    open_jobs,
    open_policy,
    open_records,
    open_sinks,
    open_snapshot,
    open_system,
)
from hookline.db import connections
from hookline.db.listener import Announcer, Listener
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.cleanup import IntegrationCleanup
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.hand_over import HandOver
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.manual import MOST_AT_ONCE, ManualRetries, Tester
from hookline.dispatch.notices import Notices
from hookline.dispatch.peers import CONNECT_EVERY, Peers
from hookline.domain.access import Tenant
from hookline.domain.catalogue import load_catalogue
from hookline.engine_setup import open_engine
from hookline.history.jobs import JOBS_CHANNEL
from hookline.history.roll_ups import FilteredEvents
from hookline.integrations.event_types import EventTypeService, UnknownTypes
from hookline.integrations.health import HEALTH_CHANNEL, StateCounts
from hookline.integrations.key_cache import USES_KEPT_EVERY, KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.notices import NOTICES_CHANNEL, Outbox
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import CHANNEL, Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.counters import Counters
from hookline.metrics.exposition import Metrics
from hookline.metrics.multiprocess import WRITE_EVERY, WorkerMetricsFiles
from hookline.queue.port import PENDING_CHANNEL, Claimed
from hookline.queue.postgres import PostgresQueue
from hookline.security.egress.transport import PoolLimits
from hookline.settings import Settings, start_secrets
from hookline.tracing import Tracing

_MOST_BYTES_IN_HAND = 64 * 1024 * 1024  # payloads of events that one process is storing
_TEST_CONNECTIONS = PoolLimits(  # each test delivery connects anew
    in_use=MOST_AT_ONCE, in_use_per_origin=MOST_AT_ONCE, idle=0
)


@asynccontextmanager
async def open_runtime(  # noqa: PLR0913, PLR0915 - a line for each part
    settings: Settings,
    *,
    engine: bool = True,
    api: bool = True,
    metrics_file: Path | None = None,
    peer_socket: Path | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Services]:
    """Open this process's part of the service; close it, drained, at the end of the block.

    `engine` says whether deliveries are made here; `api` whether requests are answered, for which
    the first admin key is made sure of. `metrics_file` is for one worker process's numbers;
    at `peer_socket` the others hand it deliveries. With `tracing`, attempts are spans.
    Raises ConfigurationError or Unavailable, with a sentence.
    """
    async with AsyncExitStack() as stack:
        keep_running(stack, Periodic("memory", memory.AfterLoad().check, memory.CHECK_EVERY))
        dsn = await open_database(settings, stack)
        records = await open_records(settings, dsn, stack)
        transactions = Transactions(records)
        key_records = (
            await _key_records(settings, transactions) if api else KeyService(transactions)
        )

        catalogue, keyring = load_catalogue(), keyring_of(settings)
        policy = open_policy(settings, stack)
        subscriptions = await open_snapshot(transactions, catalogue, keyring, stack)
        counters = Counters(subscriptions)
        integrations = IntegrationService(
            transactions,
            keyring,
            policy,
            catalogue,
            most_per_pbx=settings.max_integrations_per_pbx,
            refresh=subscriptions.refresh,
        )
        keys = KeyCache(transactions)
        keep_running(stack, Periodic("key-uses", keys.keep_uses, USES_KEPT_EVERY))

        pool = await stack.enter_async_context(
            connections.pool(dsn, size=settings.database_pool_size)
        )
        await keep_database(
            settings, transactions, records, pool, subscriptions.longest_delay, stack
        )
        queue = PostgresQueue(
            pool,
            lease_seconds=lease_of(settings),
            duplicate_window=duplicate_window_of(settings),
            observer=counters,
        )
        sinks, test_sinks = (
            open_sinks(settings, policy, limits, stack, tracing)
            for limits in (delivery_connections(settings), _TEST_CONNECTIONS)
        )
        backpressure = _backpressure(settings, queue, subscriptions, stack)
        tasks = Tasks()
        stack.push_async_callback(tasks.aclose)
        cleanup = IntegrationCleanup(queue, sinks, test_sinks, tasks=tasks)
        subscriptions.tells(cleanup.integration_changed)
        announcer = Announcer(partial(queue.announce, PENDING_CHANNEL))
        refresher = Debounced("snapshot-refresh", subscriptions.catch_up)
        for each in (announcer, refresher):
            stack.push_async_callback(each.aclose)
        jobs, replays, runner = open_jobs(
            settings, records, integrations, subscriptions, announcer.announce
        )
        parts = None
        if engine:
            parts = open_engine(
                settings,
                queue=queue,
                transactions=transactions,
                subscriptions=subscriptions,
                integrations=integrations,
                sinks=sinks,
                tasks=tasks,
                observer=counters,
                stack=stack,
                peer_socket=peer_socket,
            )
        delivering = parts.delivering if parts else None
        hand_over = None
        if delivering and peer_socket is not None:
            peers = Peers(peer_socket)
            hand_over = HandOver(peers, delivering.lanes, queue, announce=announcer.announce)
            stack.push_async_callback(peers.aclose)
            keep_running(stack, Periodic("peers", peers.look, CONNECT_EVERY))
        unknown_types = UnknownTypes(transactions, catalogue)
        filtered = FilteredEvents(records)
        ingest = Ingest(
            queue,
            subscriptions,
            delivering.lanes if delivering else None,
            born_lease=queue.born_lease,
            start=delivering.engine.take if delivering else _nothing_starts,
            wake=delivering.engine.wake if delivering else announcer.announce,
            announce=announcer.announce,
            hand_over=hand_over,
            backpressure=backpressure,
            unknown_types=unknown_types,
            filtered=filtered,
            observer=counters,
            tracing=tracing,
        )
        notices = Periodic(
            "notices",
            partial(Notices(Outbox(transactions)).run_once, ingest.accept),
            settings.poll_interval,
        )
        listened = {CHANNEL: _on_hint(refresher.soon), NOTICES_CHANNEL: _on_hint(notices.soon)}
        if parts:
            listened |= {
                HEALTH_CHANNEL: _on_hint(parts.breaking.soon),
                PENDING_CHANNEL: parts.engine.notified,
                JOBS_CHANNEL: _on_hint(runner.periodic.soon),
            }
        keep_running(stack, Listener(dsn, listened, parts.membership if parts else None))
        if parts:
            await parts.start()
            stack.push_async_callback(parts.stop, settings.shutdown_grace)
        flush_counts(unknown_types, filtered, stack)
        stack.push_async_callback(ingest.idle)
        if parts:
            keep_running(stack, parts.breaking)
            keep_running(stack, runner.periodic)
        keep_running(stack, notices)
        history, statistics, streams = open_history(settings, records, keys, stack)
        throttle, rate_limits = AuthenticationThrottle(keys), _rate_limits(settings)
        metrics = Metrics(
            counters,
            backpressure,
            StateCounts(transactions).by_state,
            refused_keys=lambda: throttle.refused,
            refused_rate=lambda: rate_limits.refused_events,
            streams=streams,
            delivering=delivering,
            worker_files=WorkerMetricsFiles(metrics_file) if metrics_file else None,
        )
        if metrics_file:
            keep_running(stack, Periodic("metrics", metrics.write, WRITE_EVERY))
        yield Services(
            integrations=integrations,
            pbxs=PbxService(transactions, retention_days=settings.retention_days),
            keys=keys,
            key_records=key_records,
            event_types=EventTypeService(transactions, catalogue, subscriptions.refresh),
            unknown_types=unknown_types,
            ingest_authorisation=IngestAuthorisation(keys, subscriptions, rate_limits.charge_cpu),
            authentication_throttle=throttle,
            rate_limits=rate_limits,
            bodies=BodyMemory(settings.max_body_memory, largest=settings.max_batch_bytes),
            reads=ConcurrentReads(settings.database_pool_size),
            cpu_shares=CpuShares(),
            time_slices=TimeSlices(rate_limits.charge_cpu),
            limits=limits_of(settings),
            ingest=ingest,
            history=history,
            statistics=statistics,
            streams=streams,
            retries=ManualRetries(history, subscriptions, queue, announce=announcer.announce),
            jobs=jobs,
            replays=replays,
            trials=FilterTrials(history, subscriptions, catalogue),
            tester=Tester(subscriptions, test_sinks, catalogue, timeout=settings.delivery_timeout),
            readiness=DatabaseAndEngine(records, parts.engine if parts else None),
            metrics=metrics,
            system=open_system(
                settings,
                (records, transactions, pool),
                subscriptions,
                counters,
                stack,
                delivering=delivering,
                api=api,
            ),
        )


async def _key_records(settings: Settings, transactions: Transactions) -> KeyService:
    """Open the records of keys, and make sure of the first admin key."""
    first = start_secrets(settings).admin_key.get_secret_value()
    records = KeyService(transactions, settings_key=first)
    await records.ensure_admin(first)
    return records


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


def _rate_limits(settings: Settings) -> KeyRateLimits:
    return KeyRateLimits(
        requests_per_second=settings.requests_per_second,
        changes_per_second=settings.changes_per_second,
        events_per_second=settings.events_per_second,
    )


def _on_hint(soon: Callable[[], None]) -> Callable[[str], None]:
    return lambda _payload: soon()


def _nothing_starts(jobs: Sequence[Claimed], _leased_at: float) -> None:
    if jobs:
        raise AssertionError("a process without an engine has leased deliveries")
