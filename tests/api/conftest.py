from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta
from ipaddress import ip_address, ip_network

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.api.cpu_shares import CpuShares
from hookline.api.dependencies import Services
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.rate_limits import AuthenticationThrottle, KeyRateLimits
from hookline.api.stream import delivery_frame
from hookline.app import create_app
from hookline.db import connections
from hookline.dispatch.backpressure import Backpressure
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.manual import ManualRetries
from hookline.dispatch.replays import ReplayRequests, Replays
from hookline.domain.catalogue import load_catalogue
from hookline.domain.events import Limits
from hookline.history.jobs import Jobs
from hookline.history.repository import History
from hookline.history.statistics import StatisticsReader
from hookline.history.streams import Streams
from hookline.integrations.event_types import EventTypeService, UnknownTypes
from hookline.integrations.health import StateCounts
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.metrics.counters import Counters
from hookline.metrics.exposition import Metrics
from hookline.metrics.system import Heartbeat, System
from hookline.queue.overview import QueueOverview
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from support.api_client import Api, Keys
from support.fakes import FakeReadiness, FakeTester, Notified

ADDRESSES: dict[str, tuple[Address, ...]] = {
    "inside.example.com": (ip_address("10.1.2.3"),),
}
PUBLIC: tuple[Address, ...] = (ip_address("93.184.215.14"),)


async def resolve(host: str) -> tuple[Address, ...]:
    return ADDRESSES.get(host, PUBLIC)


@pytest.fixture(scope="module")
def keys(transactions: Transactions) -> Keys:
    return Keys(KeyService(transactions))


@pytest.fixture(scope="module")
def tester() -> FakeTester:
    return FakeTester()


@pytest.fixture(scope="module")
def readiness() -> FakeReadiness:
    return FakeReadiness()


@pytest.fixture(scope="module")
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with connections.pool(database, size=4) as opened:
        window = timedelta(hours=48)
        await PartitionKeeper(opened, retention_days=30, duplicate_window=window).keep()
        yield opened


@pytest.fixture(scope="module")
def queue(pool: asyncpg.Pool) -> PostgresQueue:
    return PostgresQueue(pool, lease_seconds=10.0, duplicate_window=timedelta(hours=48))


@pytest.fixture(scope="module")
def notified() -> Notified:
    return Notified()


@pytest.fixture(scope="module")
def services(  # noqa: PLR0917 - fixtures
    engine: AsyncEngine,
    transactions: Transactions,
    queue: PostgresQueue,
    notified: Notified,
    tester: FakeTester,
    readiness: FakeReadiness,
) -> Services:
    """Everything but an engine: what is accepted waits in the database until a test claims it."""
    policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve)
    keyring = KeyRing.parse(generate_key())
    catalogue = load_catalogue()
    subscriptions = Subscriptions(transactions, catalogue, keyring)
    cache = KeyCache(transactions)
    history = History(engine)
    jobs = Jobs(engine)
    integrations = IntegrationService(
        transactions, keyring, policy, catalogue, refresh=subscriptions.refresh
    )
    unknown_types = UnknownTypes(transactions, catalogue)
    streams = Streams(engine, history, cache, most=10, frame=delivery_frame)
    rate_limits = KeyRateLimits(
        requests_per_second=1e6, changes_per_second=1e6, events_per_second=1e6
    )
    throttle = AuthenticationThrottle(cache, refusals=1_000_000)
    return Services(
        integrations=integrations,
        pbxs=PbxService(transactions, retention_days=30),
        keys=cache,
        key_records=KeyService(transactions),
        event_types=EventTypeService(transactions, catalogue, subscriptions.refresh),
        unknown_types=unknown_types,
        ingest_authorisation=IngestAuthorisation(cache, subscriptions, rate_limits.charge_cpu),
        authentication_throttle=throttle,
        rate_limits=rate_limits,
        bodies=BodyMemory(2**27, largest=2**24),
        reads=ConcurrentReads(100),
        cpu_shares=CpuShares(),
        time_slices=TimeSlices(rate_limits.charge_cpu),
        limits=Limits(),
        ingest=Ingest(
            queue,
            subscriptions,
            None,
            born_lease=queue.born_lease,
            start=notified.started,
            wake=notified.notify,
            notify=notified.notify,
        ),
        history=history,
        statistics=StatisticsReader(engine),
        streams=streams,
        retries=ManualRetries(history, subscriptions, queue, notify=notified.notify),
        jobs=jobs,
        replays=ReplayRequests(
            jobs,
            Replays(subscriptions),
            integrations,
            subscriptions,
            retention_days=30,
        ),
        tester=tester,
        trials=FilterTrials(history, subscriptions, catalogue),
        readiness=readiness,
        system=System(
            records=engine,
            overview=QueueOverview(queue._pool),
            subscriptions=subscriptions,
            heartbeat=Heartbeat(transactions, Counters(subscriptions).totals, held=None, api=True),
            count_by_state=StateCounts(transactions).by_state,
            paused=StateCounts(transactions).paused,
            most_pending=1_000_000,
        ),
        metrics=Metrics(
            Counters(subscriptions),
            Backpressure.none(),
            StateCounts(transactions).by_state,
            refused_keys=lambda: throttle.refused,
            refused_rate=lambda: rate_limits.refused_events,
            streams=streams,
        ),
    )


@pytest.fixture(scope="module")
async def app(services: Services) -> AsyncIterator[FastAPI]:
    made = create_app(lambda: nullcontext(services))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="module")
async def api(app: FastAPI, keys: Keys) -> AsyncIterator[Api]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hookline.test") as client:
        yield Api(client, await keys.admin())
