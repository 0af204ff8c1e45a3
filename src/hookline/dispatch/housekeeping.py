"""Keeps what is stored bounded: runs the partition keeper now and then."""

import asyncio
from typing import Protocol

from hookline.errors import Unavailable
from hookline.logs import get_logger

_LOG = get_logger(__name__)


class Keeper(Protocol):
    """Whatever bounds a store."""

    async def keep(self) -> None:
        """Make room ahead, drop what is past its time; raise Unavailable."""


async def keep_house(keeper: Keeper, *, interval: float, first_after: float | None = None) -> None:
    """Run the keeper every `interval` seconds until cancelled; a failure waits for the next run.

    The first run comes after `first_after` seconds, or else after the interval as well.
    """
    await asyncio.sleep(interval if first_after is None else first_after)
    while True:
        try:
            await keeper.keep()
        except Unavailable:
            _LOG.warning("housekeeping.database_away")
        except Exception:  # noqa: BLE001 - the loop must go on: tomorrow needs its partitions
            _LOG.exception("housekeeping.failed")
        await asyncio.sleep(interval)
