"""What a process opens first: database, records, partitions, sinks, history and jobs.

The runtime's lower half: it sees the settings as well, and nothing sees it but the runtime.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.api.stream import delivery_frame
from hookline.background import Periodic, keep_running
from hookline.db import connections
from hookline.db.embedded import EmbeddedPostgres
from hookline.db.errors import explained
from hookline.db.inspection import check_server
from hookline.db.migrate import is_current, migrate_at, newest_revision
from hookline.dispatch.erasures import Erasures
from hookline.dispatch.jobs import JobRunner, Work
from hookline.dispatch.replays import ReplayRequests, Replays
from hookline.domain.catalogue import Catalogue, load_catalogue
from hookline.domain.events import Limits
from hookline.domain.retries import DEFAULT_JITTER
from hookline.domain.targets import TransmissionType
from hookline.errors import ConfigurationError
from hookline.history.jobs import JobKind, JobRetention, Jobs
from hookline.history.repository import History
from hookline.history.roll_ups import FilteredEvents, RollUps
from hookline.history.statistics import StatisticsReader
from hookline.history.streams import Streams
from hookline.integrations.event_types import UnknownTypes
from hookline.integrations.health import StateCounts
from hookline.integrations.key_cache import USES_KEPT_EVERY, KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.repository import RecordRetention
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.counters import Counters
from hookline.metrics.exposition import Delivering
from hookline.metrics.system import BEAT_EVERY, Heartbeat, System
from hookline.queue.overview import QueueOverview
from hookline.queue.recovery import ClockSkew
from hookline.queue.retention import PartitionKeeper, PbxRetention
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.resolver import DnsResolver
from hookline.security.egress.tls import client_tls
from hookline.security.egress.transport import GuardedTransport, PoolLimits
from hookline.security.secrets import KeyRing
from hookline.settings import Settings, encryption_keys, start_secrets
from hookline.sinks import Sink
from hookline.sinks.sqs import SqsSink
from hookline.sinks.traced import TracedSink
from hookline.sinks.webhook import WebhookSink
from hookline.tracing import Tracing

_FORGET_EVERY = 60.0  # seconds that a rotated secret may stay in memory beyond its grace period
_RETENTION_EVERY = 1800.0  # seconds; days are made three ahead, so one run in three days would do
_RETENTION_AFTER = 5.0  # seconds from the start to the first round: the process is ready then
_FLUSH_COUNTS_EVERY = 10.0  # seconds between two batches of what is counted of accepted events
_COUNT_EVERY = 15.0  # seconds between counts of what was settled: readers add up the rest


@dataclass(frozen=True, slots=True)
class Records:
    """Who may do what, and where events go: the tables, and what is kept of them in memory."""

    engine: AsyncEngine
    transactions: Transactions
    key_records: KeyService
    keys: KeyCache
    catalogue: Catalogue
    policy: EgressPolicy
    subscriptions: Subscriptions
    counters: Counters
    integrations: IntegrationService


async def open_database(settings: Settings, stack: AsyncExitStack) -> str:
    """Return the database's address; the bundled one runs until the stack closes."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await embedded.start()
    stack.push_async_callback(embedded.stop)
    return dsn


async def open_records(
    settings: Settings, dsn: str, stack: AsyncExitStack, *, api: bool
) -> Records:
    """Open the records and what follows them; where there is an API, make sure of an admin key."""
    engine = await _open_tables(settings, dsn, stack)
    transactions = Transactions(engine)
    key_records = await _key_records(settings, transactions) if api else KeyService(transactions)
    catalogue, keyring = load_catalogue(), _keyring_of(settings)
    policy = _open_policy(settings, stack)
    subscriptions = await _open_snapshot(transactions, catalogue, keyring, stack)
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
    return Records(
        engine,
        transactions,
        key_records,
        keys,
        catalogue,
        policy,
        subscriptions,
        Counters(subscriptions),
        integrations,
    )


async def _key_records(settings: Settings, transactions: Transactions) -> KeyService:
    """Open the records of keys, and make sure of the first admin key."""
    first = start_secrets(settings).admin_key.get_secret_value()
    records = KeyService(transactions, settings_key=first)
    await records.ensure_admin(first)
    return records


async def _open_tables(settings: Settings, dsn: str, stack: AsyncExitStack) -> AsyncEngine:
    """Open the records' engine on a database of exactly this version's schema."""
    records = connections.engine(dsn, pool_size=settings.database_pool_size)
    stack.push_async_callback(records.dispose)
    if settings.embedded:
        await migrate_at(dsn)
        return records
    with explained(dsn):
        await check_server(dsn, records)
        current = await is_current(records)
    if not current:
        raise ConfigurationError(
            f"The database is not at migration {newest_revision()}: run `hookline migrate` first."
        )
    return records


async def keep_database(
    settings: Settings, records: Records, pool: asyncpg.Pool, stack: AsyncExitStack
) -> None:
    """Make today's partitions before anything is stored; from then on keep the database in order.

    What is past its time is dropped once the process is ready: that can wait, and callers cannot.
    """
    keeper = PartitionKeeper(
        pool,
        retention_days=settings.retention_days,
        duplicate_window=duplicate_window_of(settings),
    )
    await keeper.make()
    pbx_retention = PbxRetention(pool, retention_days=settings.retention_days)
    record_retention = RecordRetention(records.transactions, days=settings.retention_days)
    jobs = JobRetention(Jobs(records.engine), days=settings.retention_days)
    for name, each in (
        ("partitions", keeper),
        ("pbx-retention", pbx_retention),
        ("record-retention", record_retention),
        ("job-retention", jobs),
    ):
        work = Periodic(name, each.keep, _RETENTION_EVERY, first_after=_RETENTION_AFTER)
        keep_running(stack, work)
    roll_ups = RollUps(records.engine, days=settings.statistics_days)
    keep_running(stack, Periodic("roll-ups", roll_ups.keep, _COUNT_EVERY))
    usual = max((*settings.retry_delays, *settings.retry_delays_analytics), default=0.0)
    due_times = ClockSkew(
        pool,
        lease_seconds=lease_of(settings),
        longest_delay=lambda: (
            max(usual, records.subscriptions.longest_delay()) * (1 + DEFAULT_JITTER)
        ),
        longest_wait=settings.retry_after_cap,
    )
    keep_running(stack, Periodic("clock", due_times.keep, settings.poll_interval))


def open_history(
    settings: Settings, records: Records, stack: AsyncExitStack
) -> tuple[History, StatisticsReader, Streams]:
    """Open the read side: what became of deliveries, in numbers, and as they end."""
    history = History(records.engine)
    streams = Streams(
        records.engine,
        history,
        records.keys,
        most=settings.max_streams,
        frame=delivery_frame,
    )
    keep_running(stack, Periodic("streams", streams.follow, streams.pause))
    return history, StatisticsReader(records.engine), streams


@dataclass(frozen=True, slots=True)
class JobParts:
    """The durable jobs, what takes requests for replays, and what works on all jobs."""

    jobs: Jobs
    replays: ReplayRequests
    runner: JobRunner


def open_jobs(settings: Settings, records: Records) -> JobParts:
    """Return what takes requests for replays and erasures, and what works on them."""
    jobs = Jobs(records.engine)
    replays = Replays(records.subscriptions)
    requests = ReplayRequests(
        jobs,
        replays,
        records.integrations,
        records.subscriptions,
        retention_days=settings.retention_days,
    )
    work: dict[JobKind, Work] = {JobKind.REPLAY: replays, JobKind.ERASURE: Erasures()}
    return JobParts(jobs, requests, JobRunner(jobs, work, settings.poll_interval))


async def _open_snapshot(
    transactions: Transactions, catalogue: Catalogue, keyring: KeyRing, stack: AsyncExitStack
) -> Subscriptions:
    """Open the snapshot of integrations and PBXs; secrets leave it as their grace periods end."""
    subscriptions = Subscriptions(transactions, catalogue, keyring)
    await subscriptions.catch_up()

    async def forget_expired() -> None:
        subscriptions.forget_expired(datetime.now(UTC))

    keep_running(stack, Periodic("expired-secrets", forget_expired, _FORGET_EVERY))
    return subscriptions


def _keyring_of(settings: Settings) -> KeyRing:
    """Return the keys that customers' secrets are encrypted with."""
    return KeyRing.parse(",".join(key.get_secret_value() for key in encryption_keys(settings)))


def _open_policy(settings: Settings, stack: AsyncExitStack) -> EgressPolicy:
    """Open the guard: where deliveries may go."""
    resolver = DnsResolver(settings.egress_name_servers)
    stack.push_async_callback(resolver.aclose)
    policy = EgressPolicy(settings.egress_allowed_networks, resolve=resolver)
    stack.callback(policy.close)
    return policy


def open_sinks(
    settings: Settings,
    policy: EgressPolicy,
    limits: PoolLimits,
    stack: AsyncExitStack,
    tracing: Tracing | None = None,
) -> dict[TransmissionType, Sink]:
    """Open sinks of their own connections, with the guard between them and the network."""
    tls = client_tls(settings.egress_ca_file)
    transport = GuardedTransport(
        policy,
        tls=tls,
        proxy=Proxy.parse(settings.egress_proxy.get_secret_value())
        if settings.egress_proxy
        else None,
        limits=limits,
    )
    webhook = WebhookSink(transport, timeout=settings.delivery_timeout)
    sqs = SqsSink(
        timeout=settings.delivery_timeout,
        endpoint_url=settings.sqs_endpoint_url,
        max_message_bytes=settings.sqs_max_message_bytes,
        policy=policy,
        tls=tls,
    )
    for sink in (webhook, sqs):
        stack.push_async_callback(sink.aclose)
    opened: dict[TransmissionType, Sink] = {
        TransmissionType.WEBHOOK: webhook,
        TransmissionType.AWS_SQS: sqs,
    }
    if tracing is None:
        return opened
    return {way: TracedSink(sink, tracing) for way, sink in opened.items()}


def flush_counts(
    unknown_types: UnknownTypes, filtered: FilteredEvents, stack: AsyncExitStack
) -> None:
    """Have what is counted of accepted events written in batches, until the stack closes."""
    every = _FLUSH_COUNTS_EVERY
    for name, counts in (("unknown-types", unknown_types), ("filtered-events", filtered)):
        stack.push_async_callback(counts.aclose)
        keep_running(stack, Periodic(name, counts.flush, every, first_after=every))


def open_system(  # noqa: PLR0913 - one line below the root
    settings: Settings,
    records: Records,
    pool: asyncpg.Pool,
    stack: AsyncExitStack,
    *,
    delivering: Delivering | None,
    api: bool,
) -> System:
    """Keep this process's row in the list of processes, and open the overview of the system."""
    held = None if delivering is None else delivering.held
    heartbeat = Heartbeat(records.transactions, records.counters.totals, held=held, api=api)
    stack.push_async_callback(heartbeat.leave)
    keep_running(stack, Periodic("heartbeat", heartbeat.beat, BEAT_EVERY))
    state_counts = StateCounts(records.transactions)
    return System(
        records=records.engine,
        overview=QueueOverview(pool),
        subscriptions=records.subscriptions,
        heartbeat=heartbeat,
        count_by_state=state_counts.by_state,
        paused=state_counts.paused,
        most_pending=settings.max_pending,
    )


def lease_of(settings: Settings) -> float:
    """Return how long a lease lasts, in seconds: an attempt, and time to write its outcome."""
    return settings.delivery_timeout + settings.lease_margin


def limits_of(settings: Settings) -> Limits:
    """Return what events and batches are held to."""
    return Limits(
        event_bytes=settings.max_event_bytes,
        batch_bytes=settings.max_batch_bytes,
        batch_events=settings.max_batch_events,
        depth=settings.max_depth,
    )


def duplicate_window_of(settings: Settings) -> timedelta:
    """Return for how long the same event again is a duplicate."""
    return timedelta(hours=settings.duplicate_window_hours)
