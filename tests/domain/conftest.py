from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.node import Node

# What a busy machine is slow at is no fault of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with Node() as process:
        yield process
