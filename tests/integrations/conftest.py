from ipaddress import ip_address

import pytest

from hookline.domain.catalogue import load_catalogue
from hookline.integrations.keys import KeyService
from hookline.integrations.pbxs import PbxService
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key


async def resolve(_host: str) -> tuple[Address, ...]:
    return (ip_address("93.184.215.14"),)


@pytest.fixture(scope="module")
def keyring() -> KeyRing:
    return KeyRing.parse(generate_key())


@pytest.fixture(scope="module")
def service(transactions: Transactions, keyring: KeyRing) -> IntegrationService:
    policy = EgressPolicy(resolve=resolve)
    return IntegrationService(transactions, keyring, policy, load_catalogue())


@pytest.fixture(scope="module")
def pbxs(transactions: Transactions) -> PbxService:
    return PbxService(transactions, retention_days=30)


@pytest.fixture(scope="module")
def keys(transactions: Transactions) -> KeyService:
    return KeyService(transactions)
