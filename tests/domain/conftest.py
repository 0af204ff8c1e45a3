import os
from collections.abc import Iterator

import pytest

from support.node import Node, node_is_here


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    if not node_is_here():
        reason = (
            "Node.js is not on PATH, so our canonical form cannot be compared with JavaScript's"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Node() as process:
        yield process
