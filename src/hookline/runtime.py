"""The composition root: opens everything in order, and closes it in reverse.

Read `open_runtime` from top to bottom and you have seen the house: database, records, sinks, queue,
engine, services. Settings end here; what is below gets plain values.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from hookline.api.authentication_throttle import AuthenticationThrottle
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.monitoring import DatabaseAndEngine
from hookline.api.rate_limits import KeyRateLimits
from hookline.api.services import Services
from hookline.bootstrap import (
    background,
    count_unknown_types,
    delivery_connections,
    duplicate_window_of,
    keep_house_and_time,
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
from hookline.db.listener import EngineMembership, Listener
from hookline.dispatch.announce import PENDING_CHANNEL, Announcer
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.circuit_breaker import Circuits
from hookline.dispatch.cleanup import IntegrationCleanup
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.disabling import Disabling
from hookline.dispatch.engine import Engine
from hookline.dispatch.exhausted import ExhaustedTally
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.health import HealthWatch
from hookline.dispatch.housekeeping import keep_house
from hookline.dispatch.ingest import Accepts, Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.manual_retry import ManualRetries
from hookline.dispatch.notices import Notices
from hookline.dispatch.outdated import StaleKeeper, SupersededKeeper
from hookline.dispatch.record import Recorder
from hookline.dispatch.refreshing import Refresher
from hookline.dispatch.rules import IntegrationRules
from hookline.dispatch.test_delivery import MOST_AT_ONCE, Tester
from hookline.dispatch.traced import TracedIngest
from hookline.domain.access import Tenant
from hookline.domain.catalogue import load_catalogue
from hookline.domain.health import HealthRules
from hookline.domain.retries import RetryPolicies
from hookline.domain.targets import TransmissionType
from hookline.history.jobs import JOBS_CHANNEL
from hookline.integrations.event_types import EventTypeService
from hookline.integrations.health import HEALTH_CHANNEL, StateCounts
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.outbox import NOTICES_CHANNEL, Outbox
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import CHANNEL, Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.counted import (
    CountedHealth,
    CountedIngest,
    CountedIntegrations,
    CountedQueue,
)
from hookline.metrics.counts import Counts
from hookline.metrics.multiprocess import Tallies
from hookline.metrics.scrape import Delivering, Metrics
from hookline.queue.port import Claimed, Settlement
from hookline.queue.postgres import PostgresQueue
from hookline.security.egress.pool import PoolLimits
from hookline.settings import Settings, start_secrets
from hookline.sinks import Sink
from hookline.tracing import Tracing

_MOST_BYTES_IN_HAND = 64 * 1024 * 1024  # payloads of events that one process is storing
_SUPERSEDED = 5  # polls for one look for what waits in vain: claims find most of it
_MOST_BYTES_HELD = 128 * 1024 * 1024  # payloads in one process's hands at a time
_COUNTED_WITHIN = 5.0  # seconds for counting the other engines before the first claim
_TEST_CONNECTIONS = PoolLimits(  # each test delivery connects anew
    in_use=MOST_AT_ONCE, in_use_per_origin=MOST_AT_ONCE, idle=0
)


@asynccontextmanager
async def open_runtime(  # noqa: PLR0915 - a line for each part
    settings: Settings,
    *,
    engine: bool = True,
    api: bool = True,
    tally: Path | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Services]:
    """Open this process's part of the service; close it, drained, at the end of the block.

    `engine` says whether deliveries are made here; `api` whether requests are answered, for which
    the first admin key is made sure of. `tally` is the file for one worker process's numbers;
    with `tracing`, attempts are spans.
    Raises ConfigurationError or Unavailable, with a sentence.
    """
    async with AsyncExitStack() as stack:
        dsn = await open_database(settings, stack)
        records = await open_records(settings, dsn, stack)
        transactions = Transactions(records)
        key_records = (
            await _key_records(settings, transactions) if api else KeyService(transactions)
        )

        catalogue, keyring = load_catalogue(), keyring_of(settings)
        policy = open_policy(settings, stack)
        subscriptions = await open_snapshot(transactions, catalogue, keyring, stack)
        counts = Counts(subscriptions)
        integrations = CountedIntegrations(
            transactions,
            keyring,
            policy,
            catalogue,
            most_per_pbx=settings.max_integrations_per_pbx,
            refresh=subscriptions.refresh,
            counts=counts,
        )
        keys = _key_cache(transactions, stack)

        pool = await stack.enter_async_context(
            connections.pool(dsn, size=settings.database_pool_size)
        )
        await keep_house_and_time(
            settings, transactions, records, pool, subscriptions.longest_delay, stack
        )
        queue = CountedQueue(
            pool,
            lease_seconds=lease_of(settings),
            duplicate_window=duplicate_window_of(settings),
            counts=counts,
        )
        sinks, test_sinks = (
            open_sinks(settings, policy, limits, stack, tracing)
            for limits in (delivery_connections(settings), _TEST_CONNECTIONS)
        )
        notices = Notices(Outbox(transactions))
        listened = {CHANNEL: Refresher(subscriptions).soon, NOTICES_CHANNEL: notices.soon}

        backpressure = _backpressure(settings, queue, subscriptions, stack)
        _follow_integrations(IntegrationCleanup(queue, sinks, test_sinks), subscriptions, stack)

        lanes = None
        running: Engine | None = None
        circuits: Circuits | None = None
        delivering: Delivering | None = None
        membership: EngineMembership | None = None
        announcer = _announcer(queue, stack)
        jobs, replays, runner = open_jobs(
            settings, records, integrations, subscriptions, announcer.announce
        )
        if engine:
            watch = _watch(settings, transactions, subscriptions, integrations, counts, stack)
            rules = _rules(settings, subscriptions, watch)
            membership = EngineMembership(rules.engines_counted)
            lanes = rules.lanes
            running = _engine(
                settings,
                queue=queue,
                lanes=lanes,
                subscriptions=subscriptions,
                sinks=sinks,
                on_gone=Disabling(integrations).gone,
                saw=counts.watching(watch.saw),
                stack=stack,
            )
            delivering = Delivering(running, lanes, watch)
            circuits = Circuits(watch, lanes, give_back=running.give_back, wake=running.wake)
            listened |= {HEALTH_CHANNEL: circuits.soon, PENDING_CHANNEL: running.poll_now}
            listened |= {JOBS_CHANNEL: runner.soon}
        background(stack, Listener(dsn, listened, membership).run(), "listener")
        if running and circuits and membership:
            await _start(running, circuits, membership)
            stack.push_async_callback(running.drain, settings.shutdown_grace)
        ingest = Ingest(
            queue,
            subscriptions,
            lanes,
            born_lease=queue.born_lease,
            start=running.take if running else _nothing_starts,
            wake=running.wake if running else announcer.announce,
            announce=announcer.announce,
            backpressure=backpressure,
        )
        stack.push_async_callback(ingest.idle)
        if circuits is not None:
            background(stack, circuits.run(settings.poll_interval), "circuits")
            background(stack, runner.run(settings.poll_interval), "jobs")
        background(stack, notices.run(ingest.accept, settings.poll_interval), "notices")
        unknown_types = count_unknown_types(transactions, catalogue, stack)
        history, statistics, streams = open_history(settings, records, keys, stack)
        throttle, rate_limits = AuthenticationThrottle(keys), _rate_limits(settings)
        metrics = Metrics(
            counts,
            backpressure,
            StateCounts(transactions).by_state,
            refused_keys=lambda: throttle.refused,
            refused_rate=lambda: rate_limits.refused_events,
            streams=streams,
            delivering=delivering,
            tallies=Tallies(tally) if tally else None,
        )
        background(stack, metrics.keep(), "metrics")
        yield Services(
            integrations=integrations,
            pbxs=PbxService(transactions),
            keys=keys,
            key_records=key_records,
            event_types=EventTypeService(transactions, catalogue, subscriptions.refresh),
            unknown_types=unknown_types,
            ingest_authorisation=IngestAuthorisation(keys, subscriptions),
            authentication_throttle=throttle,
            rate_limits=rate_limits,
            bodies=BodyMemory(settings.max_body_memory, largest=settings.max_batch_bytes),
            reads=ConcurrentReads(settings.database_pool_size),
            time_slices=TimeSlices(rate_limits.charge_cpu),
            limits=limits_of(settings),
            ingest=_accepting(CountedIngest(ingest, counts, unknown_types), tracing),
            history=history,
            statistics=statistics,
            streams=streams,
            retries=ManualRetries(
                history,
                subscriptions,
                queue,
                announce=announcer.announce,
            ),
            jobs=jobs,
            replays=replays,
            trials=FilterTrials(history, subscriptions, catalogue),
            tester=Tester(subscriptions, test_sinks, catalogue, timeout=settings.delivery_timeout),
            readiness=DatabaseAndEngine(records, running),
            metrics=metrics,
            system=open_system(
                settings,
                (records, transactions, pool),
                subscriptions,
                counts,
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


async def _start(running: Engine, circuits: Circuits, membership: EngineMembership) -> None:
    """Have it claim, once it is known what is paused and which other engines there are."""
    await circuits.round()
    await membership.known(within=_COUNTED_WITHIN)
    running.start()


def _watch(  # noqa: PLR0913, PLR0917 - one line below the root
    settings: Settings,
    transactions: Transactions,
    subscriptions: Subscriptions,
    integrations: IntegrationService,
    counts: Counts,
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
    records = CountedHealth(transactions, rules, counts=counts)
    exhausted = ExhaustedTally(Outbox(transactions).count)
    stack.push_async_callback(exhausted.aclose)
    disable = integrations.disable_failing
    return HealthWatch(records, rules, subscriptions, exhausted, disable=disable)


def _key_cache(transactions: Transactions, stack: AsyncExitStack) -> KeyCache:
    keys = KeyCache(transactions)
    background(stack, keys.keep_uses(), "key-uses")
    return keys


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
    background(stack, backpressure.watch(settings.poll_interval), "backlog")
    return backpressure


def _announcer(queue: PostgresQueue, stack: AsyncExitStack) -> Announcer:
    announcer = Announcer(lambda: queue.announce(PENDING_CHANNEL))
    stack.push_async_callback(announcer.aclose)
    return announcer


def _accepting(ingest: Accepts, tracing: Tracing | None) -> Accepts:
    return ingest if tracing is None else TracedIngest(ingest, tracing)


def _follow_integrations(
    cleanup: IntegrationCleanup, subscriptions: Subscriptions, stack: AsyncExitStack
) -> None:
    stack.push_async_callback(cleanup.aclose)
    subscriptions.tells(cleanup.integration_changed)


def _rules(
    settings: Settings, subscriptions: Subscriptions, watch: HealthWatch
) -> IntegrationRules:
    rules = IntegrationRules(
        subscriptions, watch, most_held=settings.max_in_flight, most_bytes=_MOST_BYTES_HELD
    )
    subscriptions.tells(rules.integration_changed)
    return rules


def _engine(  # noqa: PLR0913 - one line below the root, each part by its name
    settings: Settings,
    *,
    queue: PostgresQueue,
    lanes: Lanes,
    subscriptions: Subscriptions,
    sinks: dict[TransmissionType, Sink],
    on_gone: Callable[[str, str], None],
    saw: Callable[[Claimed, Settlement], None],
    stack: AsyncExitStack,
) -> Engine:
    policies = RetryPolicies(
        settings.retry_delays,
        {"analytics": settings.retry_delays_analytics},
        retry_after_cap=settings.retry_after_cap,
    )
    _end_outdated(queue, settings.poll_interval, stack)
    return Engine(
        queue=queue,
        lanes=lanes,
        deliverer=Deliverer(subscriptions, sinks, policies, on_gone=on_gone),
        recorder=Recorder(queue),
        poll_interval=settings.poll_interval,
        renew_interval=lease_of(settings) / 3,
        saw=saw,
    )


def _end_outdated(queue: PostgresQueue, interval: float, stack: AsyncExitStack) -> None:
    stale = keep_house(StaleKeeper(queue.outdated), interval=interval)
    background(stack, stale, "stale")
    superseded = keep_house(SupersededKeeper(queue.outdated), interval=_SUPERSEDED * interval)
    background(stack, superseded, "superseded")


def _rate_limits(settings: Settings) -> KeyRateLimits:
    return KeyRateLimits(
        requests_per_second=settings.requests_per_second,
        changes_per_second=settings.changes_per_second,
        events_per_second=settings.events_per_second,
    )


def _nothing_starts(jobs: Sequence[Claimed], _leased_at: float) -> None:
    if jobs:
        raise AssertionError("a process without an engine has leased deliveries")
