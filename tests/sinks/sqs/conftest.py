from collections.abc import AsyncIterator

import pytest

from hookline.sinks.sqs import SqsSink
from support.sqs_fake import FakeSqs


@pytest.fixture
async def fake() -> AsyncIterator[FakeSqs]:
    """A queue service of our own that does as it is told."""
    async with FakeSqs.serve() as fake:
        yield fake


@pytest.fixture
async def sink(fake: FakeSqs) -> AsyncIterator[SqsSink]:
    """A sink in front of it."""
    sink = SqsSink(timeout=5.0, endpoint_url=fake.url)
    yield sink
    await sink.aclose()
