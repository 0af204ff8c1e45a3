"""Seals what integrations keep secret anew, under the ring's first key, so that older keys can go.

Safe while services run: a row changes only where its sealed bytes are still those that were read,
so whoever rotates a secret or changes headers meanwhile wins. Nothing needs to be remembered
between runs either: sealed bytes tell which key sealed them.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from hookline.db.errors import rerunnable
from hookline.db.models import Integration
from hookline.errors import BrokenSeal
from hookline.integrations.revision import Transactions
from hookline.integrations.sealing import headers_binding, old_secret_binding, secret_binding
from hookline.security.secrets import KeyRing

_BATCH = 100  # rows read at a time
_BINDINGS: Final = {
    "secret": secret_binding,
    "old_secrets": old_secret_binding,
    "headers": headers_binding,
}
_COLUMNS: Final[dict[str, InstrumentedAttribute[Any]]] = {  # Any: sealed bytes, or a list of them
    "secret": Integration.secret,
    "old_secrets": Integration.old_secrets,
    "headers": Integration.headers,
}

Sealed = Row[str, bytes | None, list[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What came of a run: how many integrations were sealed anew, and which do not open."""

    done: int
    broken: tuple[str, ...]


class Resealing:
    """Goes over all integrations, in the order of their ids."""

    def __init__(self, transactions: Transactions, keyring: KeyRing) -> None:
        self._transactions = transactions
        self._keyring = keyring

    async def waiting(self) -> int:
        """Return how many integrations hold something that another key sealed."""
        query = select(func.count()).select_from(Integration).where(self._is_old())
        async with self._transactions.reading() as session:
            return (await session.execute(query)).scalar_one()

    async def run(self, tell: Callable[[int], None]) -> Resealed:
        """Seal all of them anew, in batches; `tell` is given the count after each.

        One that changes meanwhile is read again; one that does not open is left as it is, and
        named. Raises Unavailable while the database is away: run it again, it goes on.
        """
        done = 0
        broken: set[str] = set()
        while await self._batch(broken):
            after = ""
            while batch := await self._batch(broken, after):
                for row in batch:
                    try:
                        done += await self._reseal(row)
                    except BrokenSeal:
                        broken.add(row.id)
                after = batch[-1].id
                tell(done)
        return Resealed(done, tuple(sorted(broken)))

    async def _batch(self, broken: Collection[str], after: str = "") -> Sequence[Sealed]:
        query = (
            select(Integration.id, Integration.secret, Integration.old_secrets, Integration.headers)
            .where(Integration.id > after, Integration.id.not_in(broken), self._is_old())
            .order_by(Integration.id)
            .limit(_BATCH)
        )
        async with self._transactions.reading() as session:
            return (await session.execute(query)).all()

    @rerunnable
    async def _reseal(self, row: Sealed) -> bool:
        """Seal one integration anew; tell whether it was there to be, and had not changed."""
        anew = {name: self._anew(row, name) for name in _COLUMNS}
        unchanged = [
            column.is_not_distinct_from(getattr(row, name)) for name, column in _COLUMNS.items()
        ]
        change = update(Integration).where(Integration.id == row.id, *unchanged).values(anew)
        async with self._transactions.noting() as session:
            changed = await session.execute(change.returning(Integration.id))
            return changed.first() is not None

    def _anew(self, row: Sealed, name: str) -> bytes | list[bytes] | None:
        sealed: bytes | list[bytes] | None = getattr(row, name)
        place = _BINDINGS[name](row.id)
        if isinstance(sealed, list):
            return [self._one_anew(each, place) for each in sealed]
        return None if sealed is None else self._one_anew(sealed, place)

    def _one_anew(self, sealed: bytes, place: str) -> bytes:
        if self._keyring.sealed_with_current(sealed):
            return sealed
        return self._keyring.seal(self._keyring.open(sealed, bound_to=place), bound_to=place)

    def _is_old(self) -> ColumnElement[bool]:
        mark = self._keyring.current_mark
        each = func.unnest(Integration.old_secrets).column_valued("each")
        return or_(
            func.substring(Integration.secret, 1, len(mark)) != mark,
            func.substring(Integration.headers, 1, len(mark)) != mark,
            exists(select(each).where(func.substring(each, 1, len(mark)) != mark)),
        )
