from collections.abc import AsyncIterator
from contextlib import nullcontext
from ipaddress import ip_address, ip_network

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline.api.deps import Services
from hookline.app import create_app
from hookline.db import connections
from hookline.domain.catalogue import load_catalogue
from hookline.integrations.directory import KeyDirectory
from hookline.integrations.keys import KeyService
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key
from support.api_client import Api, Keys
from support.fakes import FakeReadiness, FakeTester, NoIngest

ADDRESSES: dict[str, tuple[Address, ...]] = {
    "inside.example.com": (ip_address("10.1.2.3"),),
}
PUBLIC: tuple[Address, ...] = (ip_address("93.184.215.14"),)


async def resolve(host: str) -> tuple[Address, ...]:
    return ADDRESSES.get(host, PUBLIC)


@pytest.fixture(scope="module")
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    opened = connections.engine(database)
    yield opened
    await opened.dispose()


@pytest.fixture(scope="module")
def transactions(engine: AsyncEngine) -> Transactions:
    return Transactions(engine)


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
def services(transactions: Transactions, tester: FakeTester, readiness: FakeReadiness) -> Services:
    policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve)
    keyring = KeyRing.parse(generate_key())
    catalogue = load_catalogue()
    return Services(
        integrations=IntegrationService(transactions, keyring, policy, catalogue),
        pbxs=PbxService(transactions),
        keys=KeyDirectory(transactions),
        catalogue=catalogue,
        ingest=NoIngest(),
        tester=tester,
        readiness=readiness,
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
