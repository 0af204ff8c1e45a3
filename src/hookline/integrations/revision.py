"""One number that counts every change to integrations, PBXs and keys.

A writer takes the number first and holds its row until it commits. So all such writes happen one
after another, in every process, and a reader who sees a number sees every change up to it. Those of
one process wait for one another here, where they take no connection, and let whoever needs the
number to stay the same for a moment go first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from hookline.db.errors import unavailable_when_away
from hookline.db.statements import notification, statement

CHANNEL = "hookline_revision"  # NOTIFY carries the new number: a hint, never the truth

_NEXT = text(statement("integrations/next_revision"))
_HOLD = text("select value from revision for share")


@dataclass(frozen=True, slots=True)
class Change:
    """An open transaction that may write, and the revision that its rows are to carry."""

    session: AsyncSession
    revision: int


class Transactions:
    """Opens transactions on the records' tables; Postgres being away becomes Unavailable.

    What writes in one is `rerunnable`: two that lock the same rows in another order may deadlock.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._turn = asyncio.Lock()  # of the change that is next
        self._alone = asyncio.Lock()  # of the change that is under way, or of who wants none

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that only reads."""
        with unavailable_when_away():
            async with self._sessions() as session:
                yield session

    @asynccontextmanager
    async def noting(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that writes what no snapshot follows; committed as `changing` is."""
        with unavailable_when_away():
            async with self._sessions.begin() as session:
                yield session

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Change]:
        """Open a transaction that writes; it is committed when the block ends without an error."""
        with unavailable_when_away():
            async with self._turn, self._alone, self._sessions.begin() as session:
                yield Change(session, await bump(session))

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[int]:
        """Let nothing change while the block lasts, in any process; give the revision."""
        with unavailable_when_away():
            async with self._alone, self._sessions.begin() as session:
                yield (await session.execute(_HOLD)).scalar_one()


async def bump(session: AsyncSession) -> int:
    """Count one change in the session's transaction, and tell listeners once it is committed."""
    value: int = (await session.execute(_NEXT)).scalar_one()
    await session.execute(notification(CHANNEL, str(value)))
    return value
