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


async def keep_house(keeper: Keeper, *, interval: float) -> None:
    """Run the keeper every `interval` seconds until cancelled; a failure waits for the next run."""
    while True:
        await asyncio.sleep(interval)
        try:
            await keeper.keep()
        except Unavailable:
            _LOG.warning("housekeeping.database_away")
        except Exception:  # noqa: BLE001 - the loop must go on: tomorrow needs its partitions
            _LOG.exception("housekeeping.failed")
