"""A process's delivery engine: its lanes, circuit breakers and background work, from settings."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from hookline.background import Periodic, Tasks, keep_running
from hookline.db.listener import EngineMembership
from hookline.dispatch.circuit_breaker import CircuitBreakers, HealthMonitor
from hookline.dispatch.cleanup import GoneTargets
from hookline.dispatch.deliver import Deliverer
from hookline.dispatch.engine import Engine
from hookline.dispatch.hand_over import OrphanedDeliveries
from hookline.dispatch.notices import ExhaustedCounter
from hookline.dispatch.observer import Observer
from hookline.dispatch.peers import PeerServer
from hookline.dispatch.record import Recorder
from hookline.dispatch.rules import IntegrationRules
from hookline.domain.health import HealthRules
from hookline.domain.retries import RetryPolicies
from hookline.domain.targets import TransmissionType
from hookline.integrations.health import HealthRecords
from hookline.integrations.notices import Outbox
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.exposition import Delivering
from hookline.queue.postgres import PostgresQueue
from hookline.settings import Settings
from hookline.sinks import Sink

_MOST_BYTES_HELD = 128 * 1024 * 1024  # payloads in one process's hands at a time
_COUNTED_WITHIN = 5.0  # seconds for counting the other engines before the first claim
_SUPERSEDED = 5  # polls for one look for superseded deliveries: claims find most of them


@dataclass(frozen=True, slots=True)
class EngineParts:
    """An engine that is ready to start, and what is to be told of hints."""

    delivering: Delivering
    circuit_breakers: CircuitBreakers
    breaking: Periodic
    membership: EngineMembership
    peers: PeerServer | None  # where other worker processes hand deliveries over

    @property
    def engine(self) -> Engine:
        """The engine itself."""
        return self.delivering.engine

    async def start(self) -> None:
        """Have it claim, once it is known what is paused and which other engines there are."""
        await self.circuit_breakers.run_once()
        await self.membership.known(within=_COUNTED_WITHIN)
        self.engine.start()
        if self.peers is not None:
            await self.peers.open()

    async def stop(self, grace: float) -> None:
        """Take nothing more, and drain the engine in `grace` seconds."""
        if self.peers is not None:
            await self.peers.aclose()
        await self.engine.drain(grace)


def open_engine(  # noqa: PLR0913 - the composition root hands over each part by name
    settings: Settings,
    *,
    queue: PostgresQueue,
    transactions: Transactions,
    subscriptions: Subscriptions,
    integrations: IntegrationService,
    sinks: Mapping[TransmissionType, Sink],
    tasks: Tasks,
    observer: Observer,
    stack: AsyncExitStack,
    cpu_share: float,
    peer_socket: Path | None = None,
) -> EngineParts:
    """Make an engine; what the last attempts add is written once it is drained.

    A tenant's attempts have `cpu_share` of a processor; others hand over at `peer_socket`.
    """
    health = _health_monitor(settings, transactions, subscriptions, integrations, observer, stack)
    rules = _integration_rules(settings, subscriptions, health, cpu_share)
    gone = GoneTargets(integrations, tasks, observer)
    engine = Engine(
        queue=queue,
        lanes=rules.lanes,
        deliverer=Deliverer(subscriptions, sinks, _retry_policies(settings), on_gone=gone.disable),
        recorder=Recorder(queue),
        poll_interval=settings.poll_interval,
        renew_interval=queue.lease_seconds / 3,
        observers=(observer, health),
    )
    _end_outdated(queue, settings.poll_interval, stack)
    breakers = CircuitBreakers(health, rules.lanes, release=engine.release, wake=engine.wake)
    peers = _peer_server(peer_socket, queue, engine, tasks) if peer_socket else None
    return EngineParts(
        Delivering(engine, rules.lanes, health),
        breakers,
        Periodic("circuit-breakers", breakers.run_once, settings.poll_interval),
        _membership(rules, peers),
        peers,
    )


def _integration_rules(
    settings: Settings, subscriptions: Subscriptions, health: HealthMonitor, cpu_share: float
) -> IntegrationRules:
    rules = IntegrationRules(
        subscriptions,
        health,
        most_held=settings.max_in_flight,
        most_bytes=_MOST_BYTES_HELD,
        cpu_share=cpu_share,
    )
    subscriptions.tells(rules.integration_changed)
    return rules


def _membership(rules: IntegrationRules, peers: PeerServer | None) -> EngineMembership:
    def counted(mine: int, places: Sequence[int]) -> None:
        rules.engines_counted(mine, places)
        if peers is not None:
            peers.placed(mine)

    return EngineMembership(counted)


def _retry_policies(settings: Settings) -> RetryPolicies:
    return RetryPolicies(
        settings.retry_delays,
        {"analytics": settings.retry_delays_analytics},
        retry_after_cap=settings.retry_after_cap,
    )


def _end_outdated(queue: PostgresQueue, poll: float, stack: AsyncExitStack) -> None:
    outdated, seldom = queue.outdated, _SUPERSEDED * poll
    keep_running(stack, Periodic("stale", outdated.end_stale, poll, first_after=poll))
    keep_running(stack, Periodic("superseded", outdated.end_superseded, seldom, first_after=seldom))


def _peer_server(path: Path, queue: PostgresQueue, engine: Engine, tasks: Tasks) -> PeerServer:
    orphaned = OrphanedDeliveries(engine, queue.lease_seconds, tasks)
    return PeerServer(path, engine.take_handed, new_lease=queue.new_lease, ended=orphaned.look_for)


def _health_monitor(  # noqa: PLR0913, PLR0917 - one line below the root
    settings: Settings,
    transactions: Transactions,
    subscriptions: Subscriptions,
    integrations: IntegrationService,
    observer: Observer,
    stack: AsyncExitStack,
) -> HealthMonitor:
    rules = HealthRules(
        pause_after=settings.pause_after,
        pause_seconds=settings.pause_after_seconds,
        first_probe=settings.probe_interval,
        longest_probe=settings.max_probe_interval,
        disable_after=timedelta(days=settings.auto_disable_days),
    )
    exhausted = ExhaustedCounter(Outbox(transactions).count)
    stack.push_async_callback(exhausted.aclose)
    return HealthMonitor(
        HealthRecords(transactions, rules),
        rules,
        subscriptions,
        exhausted,
        disable=integrations.disable_failing,
        observer=observer,
    )
