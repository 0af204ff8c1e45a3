"""The composition root: opens everything in order, and closes it in reverse.

Read `open_runtime` from top to bottom and you have seen the house: database, records, sinks, queue,
engine, services. Settings end here; what is below gets plain values.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.api.allowances import Allowances
from hookline.api.deps import Services
from hookline.api.readiness import DatabaseAndEngine
from hookline.api.strangers import Strangers
from hookline.db import connections
from hookline.db.away import refusal_explained
from hookline.db.embedded import EmbeddedPostgres
from hookline.db.fleet import COUNT_EVERY, Fleet
from hookline.db.listen import Listener
from hookline.db.migrate import is_current, migrate_at, newest_revision
from hookline.db.reconnect import once_back
from hookline.dispatch.again import Retries
from hookline.dispatch.announce import PENDING_CHANNEL, Announcer
from hookline.dispatch.backlog import Bounds
from hookline.dispatch.circuits import Circuits
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.departures import Departures
from hookline.dispatch.disabling import Disabling
from hookline.dispatch.engine import Engine
from hookline.dispatch.exhausted import ExhaustedTally
from hookline.dispatch.gate import Gate
from hookline.dispatch.health import HealthWatch
from hookline.dispatch.housekeeping import keep_house
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.lanes import LaneRules, Lanes
from hookline.dispatch.notices import Notices
from hookline.dispatch.record import Recorder
from hookline.dispatch.shares import Shares
from hookline.dispatch.trial import Tester
from hookline.domain.catalogue import Catalogue, load_catalogue
from hookline.domain.events import Limits
from hookline.domain.health import HealthRules
from hookline.domain.retries import RetryPolicy
from hookline.domain.targets import TransmissionType
from hookline.errors import ConfigurationError
from hookline.history.repository import History
from hookline.integrations.directory import KeyDirectory
from hookline.integrations.health import HEALTH_CHANNEL, HealthRecords
from hookline.integrations.keys import KeyService
from hookline.integrations.outbox import NOTICES_CHANNEL, Outbox
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import CHANNEL, Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.partitions import PartitionKeeper
from hookline.queue.port import Claimed
from hookline.queue.postgres import PostgresQueue
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.pool import PoolLimits
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.transport import GuardedTransport
from hookline.security.egress.trust import client_tls
from hookline.security.secrets import KeyRing
from hookline.settings import Settings, encryption_keys, start_secrets
from hookline.sinks.base import Sink
from hookline.sinks.sqs import SqsSink
from hookline.sinks.webhook import WebhookSink

_HOUSEKEEPING = 1800.0  # seconds; days are made three ahead, so one run in three days would do
_MOST_BYTES_IN_HAND = 64 * 1024 * 1024  # payloads of events that one process is storing
_MOST_BYTES_HELD = 128 * 1024 * 1024  # payloads in one process's hands at a time
_MOST_IDLE = 64  # connections that one origin may keep open
_COUNTED_WITHIN = 5.0  # seconds for counting the other engines before the first claim
_UNKNOWN_LANE = LaneRules(max_in_flight=64, ordered=False)  # what is left of deleted integrations


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, engine: bool = True, api: bool = True
) -> AsyncIterator[Services]:
    """Open this process's part of the service; close it, drained, at the end of the block.

    `engine` says whether deliveries are made here; `api` whether requests are answered, for which
    the first admin key is made sure of. Raises ConfigurationError or Unavailable, with a sentence.
    """
    async with AsyncExitStack() as stack:
        dsn = await _database(settings, stack)
        records = await _records(settings, dsn, stack)
        transactions = Transactions(records)
        if api:
            key = start_secrets(settings).admin_key
            await KeyService(transactions).ensure_admin(key.get_secret_value())

        catalogue = load_catalogue()
        keyring = _keyring(settings)
        policy = EgressPolicy(settings.egress_allowed_networks)
        stack.callback(policy.close)
        integrations = IntegrationService(transactions, keyring, policy, catalogue)
        subscriptions = await _snapshot(transactions, catalogue, keyring)
        keys = KeyDirectory(transactions)
        _background(stack, keys.keep_uses(), "key-uses")

        pool = await stack.enter_async_context(
            connections.pool(dsn, size=settings.database_pool_size)
        )
        await _housekeeping(settings, pool, stack)
        queue = PostgresQueue(
            pool, lease_seconds=_lease(settings), duplicate_window=_duplicate_window(settings)
        )
        sinks = _sinks(settings, policy, stack)
        refresh = _Refresher(subscriptions)
        notices = Notices(Outbox(transactions))
        listened = {CHANNEL: refresh.soon, NOTICES_CHANNEL: notices.soon}

        bounds = Bounds(
            queue.backlog, most_pending=settings.max_pending, most_bytes=_MOST_BYTES_IN_HAND
        )
        _background(stack, bounds.watch(settings.poll_interval), "backlog")
        _follow_departures(queue, sinks, subscriptions, stack)

        lanes = None
        running: Engine | None = None
        circuits: Circuits | None = None
        fleet: Fleet | None = None
        announcer = _announcer(queue, stack)
        if engine:
            watch = _watch(settings, transactions, subscriptions, integrations, stack)
            shares = Shares(settling=settings.delivery_timeout + COUNT_EVERY)
            fleet = Fleet(shares.learn)
            lanes = _lanes(settings, subscriptions, watch, shares)
            running = _engine(
                settings,
                queue=queue,
                lanes=lanes,
                subscriptions=subscriptions,
                sinks=sinks,
                on_gone=Disabling(integrations).gone,
                watch=watch,
            )
            circuits = Circuits(watch, lanes, give_back=running.give_back, wake=running.wake)
            listened |= {HEALTH_CHANNEL: circuits.soon, PENDING_CHANNEL: running.poll_now}
        _background(stack, Listener(dsn, listened, fleet).run(), "listener")
        if running and circuits and fleet:
            await _start(running, circuits, fleet)
            stack.push_async_callback(running.drain, settings.shutdown_grace)
        ingest = Ingest(
            queue,
            subscriptions,
            lanes,
            born_lease=queue.born_lease,
            start=running.take if running else _nothing_starts,
            announce=running.wake if running else announcer.announce,
            bounds=bounds,
        )
        stack.push_async_callback(ingest.idle)
        if circuits is not None:
            _background(stack, circuits.run(settings.poll_interval), "circuits")
        _background(stack, notices.run(ingest.accept, settings.poll_interval), "notices")
        history = History(records)
        yield Services(
            integrations=integrations,
            pbxs=PbxService(transactions),
            keys=keys,
            catalogue=catalogue,
            gate=Gate(keys, subscriptions),
            strangers=Strangers(keys),
            allowances=Allowances(
                requests_per_second=settings.requests_per_second,
                events_per_second=settings.events_per_second,
            ),
            limits=_limits(settings),
            ingest=ingest,
            history=history,
            retries=Retries(
                history,
                subscriptions,
                queue,
                announce=running.poll_now if running else announcer.announce,
            ),
            tester=Tester(subscriptions, sinks, catalogue),
            readiness=DatabaseAndEngine(records, running),
        )


class _Refresher:
    """Catches the snapshot up when a notification hints at a change; ingest checks it anyway."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Catch up in the background; returns at once."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="snapshot-refresh")

    async def _run(self) -> None:
        await once_back(self._subscriptions.catch_up)


async def _start(running: Engine, circuits: Circuits, fleet: Fleet) -> None:
    """Have it claim, once it is known what is paused and which other engines there are."""
    await circuits.round()
    await fleet.known(within=_COUNTED_WITHIN)
    running.start()


async def _database(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres(settings.data_dir)
    dsn = await embedded.start()
    stack.push_async_callback(embedded.stop)
    return dsn


async def _records(settings: Settings, dsn: str, stack: AsyncExitStack) -> AsyncEngine:
    """Open the records' engine on a database of exactly this version's schema."""
    records = connections.engine(dsn, pool_size=settings.database_pool_size)
    stack.push_async_callback(records.dispose)
    if settings.embedded:
        await migrate_at(dsn)
        return records
    with refusal_explained():
        current = await is_current(records)
    if not current:
        raise ConfigurationError(
            f"The database is not at migration {newest_revision()}: run `hookline migrate` first."
        )
    return records


async def _housekeeping(settings: Settings, pool: asyncpg.Pool, stack: AsyncExitStack) -> None:
    """Make today's partitions before anything is stored, and keep house from then on."""
    keeper = PartitionKeeper(
        pool,
        retention_days=settings.retention_days,
        duplicate_window=_duplicate_window(settings),
    )
    await keeper.keep()
    _background(stack, keep_house(keeper, interval=_HOUSEKEEPING), "housekeeping")


def _keyring(settings: Settings) -> KeyRing:
    return KeyRing.parse(",".join(key.get_secret_value() for key in encryption_keys(settings)))


def _sinks(
    settings: Settings, policy: EgressPolicy, stack: AsyncExitStack
) -> dict[TransmissionType, Sink]:
    most = settings.max_in_flight
    tls = client_tls(settings.egress_ca_file)
    transport = GuardedTransport(
        policy,
        tls=tls,
        proxy=Proxy.parse(settings.egress_proxy.get_secret_value())
        if settings.egress_proxy
        else None,
        limits=PoolLimits(in_use=most, in_use_per_origin=most, idle_per_origin=_MOST_IDLE),
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
    return {TransmissionType.WEBHOOK: webhook, TransmissionType.AWS_SQS: sqs}


def _watch(
    settings: Settings,
    transactions: Transactions,
    subscriptions: Subscriptions,
    integrations: IntegrationService,
    stack: AsyncExitStack,
) -> HealthWatch:
    """Watch the targets; what the last attempts added is handed over once the engine is drained."""
    rules = HealthRules(
        pause_after=settings.pause_after,
        pause_seconds=settings.pause_after_seconds,
        first_probe=settings.probe_interval,
        longest_probe=settings.max_probe_interval,
        disable_after=timedelta(days=settings.auto_disable_days),
    )
    records = HealthRecords(transactions, rules)
    exhausted = ExhaustedTally(Outbox(transactions).count)
    stack.push_async_callback(exhausted.aclose)
    disable = integrations.disable_failing
    return HealthWatch(records, rules, subscriptions, exhausted, disable=disable)


async def _snapshot(
    transactions: Transactions, catalogue: Catalogue, keyring: KeyRing
) -> Subscriptions:
    subscriptions = Subscriptions(transactions, catalogue, keyring)
    await subscriptions.catch_up()
    return subscriptions


def _announcer(queue: PostgresQueue, stack: AsyncExitStack) -> Announcer:
    announcer = Announcer(lambda: queue.announce(PENDING_CHANNEL))
    stack.push_async_callback(announcer.aclose)
    return announcer


def _follow_departures(
    queue: PostgresQueue,
    sinks: dict[TransmissionType, Sink],
    subscriptions: Subscriptions,
    stack: AsyncExitStack,
) -> None:
    departures = Departures(queue, sinks)
    stack.push_async_callback(departures.aclose)
    subscriptions.tells(departures.saw)


def _lanes(
    settings: Settings, subscriptions: Subscriptions, watch: HealthWatch, shares: Shares
) -> Lanes:
    def rules_of(integration_id: str) -> LaneRules:
        known = subscriptions.find(integration_id)
        if known is None:
            return _UNKNOWN_LANE
        width = shares.of(integration_id, known.max_in_flight)
        if not known.enabled:  # neither paused nor limited: what waits for it ends as skipped
            return LaneRules(width, known.ordered)
        paused = watch.is_paused(integration_id)
        return LaneRules(width, known.ordered, paused, known.rate_limit)

    return Lanes(rules_of, most_held=settings.max_in_flight, most_bytes=_MOST_BYTES_HELD)


def _engine(  # noqa: PLR0913 - one line below the root, each part by its name
    settings: Settings,
    *,
    queue: PostgresQueue,
    lanes: Lanes,
    subscriptions: Subscriptions,
    sinks: dict[TransmissionType, Sink],
    on_gone: Callable[[str, str], None],
    watch: HealthWatch,
) -> Engine:
    policy = RetryPolicy(settings.retry_delays, retry_after_cap=settings.retry_after_cap)
    return Engine(
        queue=queue,
        lanes=lanes,
        deliverer=Deliverer(subscriptions, sinks, policy, on_gone=on_gone),
        recorder=Recorder(queue),
        poll_interval=settings.poll_interval,
        renew_interval=_lease(settings) / 3,
        saw=watch.saw,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        event_bytes=settings.max_event_bytes,
        batch_bytes=settings.max_batch_bytes,
        batch_events=settings.max_batch_events,
        depth=settings.max_depth,
    )


def _lease(settings: Settings) -> float:
    """Return how long a lease lasts, in seconds: an attempt, and time to write its outcome."""
    return settings.delivery_timeout + settings.lease_margin


def _duplicate_window(settings: Settings) -> timedelta:
    return timedelta(hours=settings.duplicate_window_hours)


def _nothing_starts(jobs: Sequence[Claimed]) -> None:
    if jobs:
        raise AssertionError("a process without an engine has leased deliveries")


def _background(stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
    """Run `work` until the stack closes."""
    task = asyncio.create_task(work, name=name)

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
