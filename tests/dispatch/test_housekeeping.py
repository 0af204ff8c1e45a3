import asyncio

import pytest
from structlog.testing import capture_logs

from hookline.dispatch.housekeeping import keep_house
from hookline.errors import Unavailable


async def test_house_is_kept_again_whatever_went_wrong_before() -> None:
    faults = [Unavailable("away"), LookupError("a fault of ours")]
    kept = asyncio.Event()

    class Keeper:
        async def keep(self) -> None:
            if faults:
                raise faults.pop(0)
            kept.set()

    with capture_logs() as logs:
        task = asyncio.create_task(keep_house(Keeper(), interval=0.0))
        async with asyncio.timeout(10):
            await kept.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    events = [log["event"] for log in logs]
    assert events == ["housekeeping.database_away", "housekeeping.failed"]
