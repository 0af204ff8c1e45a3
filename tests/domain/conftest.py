from collections.abc import Iterator

import pytest

from support.node import Node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with Node() as process:
        yield process
