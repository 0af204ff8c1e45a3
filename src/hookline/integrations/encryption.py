"""Encrypted fields of integrations: encrypted, decrypted, retired by a rotation, and re-encrypted.

Every encrypted value is bound to its row and its field: copied elsewhere, it cannot be decrypted.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Row, exists, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from hookline.db.errors import rerunnable
from hookline.db.models import Integration
from hookline.domain.targets import SqsTarget, Target, TransmissionType, WebhookTarget, host_of
from hookline.errors import Conflict, DecryptionFailed
from hookline.integrations.revision import Transactions
from hookline.security.secrets import KeyRing

_MOST_SIGNING: Final = 5  # secrets, the current one among them: so many signatures a request
_BATCH: Final = 100  # rows read at a time


def secret_binding(integration_id: str) -> str:
    """Return what an encrypted secret is bound to: the webhook's, or the AWS secret access key."""
    return f"integrations/{integration_id}/secret"


def old_secret_binding(integration_id: str) -> str:
    """Return what an encrypted secret from before a rotation is bound to."""
    return f"integrations/{integration_id}/old_secret"


def headers_binding(integration_id: str) -> str:
    """Return what the encrypted headers are bound to."""
    return f"integrations/{integration_id}/headers"


def encrypt_headers(
    headers: Mapping[str, str], integration_id: str, keyring: KeyRing
) -> bytes | None:
    """Encrypt the customer's headers, in their order; None where there are none."""
    if not headers:
        return None
    document = orjson.dumps(dict(headers)).decode()
    return keyring.encrypt(document, bound_to=headers_binding(integration_id))


def decrypt_headers(row: Integration, keyring: KeyRing) -> dict[str, str]:
    """Decrypt the customer's headers; raise DecryptionFailed."""
    if row.headers is None:
        return {}
    document = keyring.decrypt(row.headers, bound_to=headers_binding(row.id))
    opened: dict[str, str] = orjson.loads(document)
    return opened


def decrypt_secret(row: Integration, keyring: KeyRing) -> str:
    """Decrypt the current secret; raise DecryptionFailed where it was wiped, too."""
    return keyring.decrypt(row.secret or b"", bound_to=secret_binding(row.id))


def open_target(row: Integration, keyring: KeyRing, now: datetime) -> Target:
    """Open everything that sending to the integration needs.

    `now` decides which old secrets still sign along. Raises DecryptionFailed, or ValueError for a
    row that was damaged: of no known type, or without a URL.
    """
    kind = TransmissionType(row.type)
    if host_of(row.url) is None:
        raise ValueError(f"the URL of integration {row.id} names no host")
    secret = decrypt_secret(row, keyring)
    if kind is TransmissionType.AWS_SQS:
        return SqsTarget(row.url, row.access_key_id or "", secret)
    old = signing_along(row, now)
    bound_to = old_secret_binding(row.id)
    return WebhookTarget(
        row.url,
        secrets=(secret, *(keyring.decrypt(encrypted, bound_to=bound_to) for encrypted, _ in old)),
        headers=tuple(decrypt_headers(row, keyring).items()),
        until=tuple(until for _, until in old),
    )


def signing_along(row: Integration, now: datetime) -> list[tuple[bytes, datetime]]:
    """Return the old secrets whose time is not over, encrypted, each with when it will be."""
    old = zip(row.old_secrets, row.old_secrets_until, strict=True)
    return [(encrypted, until) for encrypted, until in old if until > now]


def retire_secret(row: Integration, keyring: KeyRing, grace: timedelta) -> None:
    """Have the current secret, and the old ones whose time is not over, sign along for their grace.

    Without a grace period no old secret does. Raises Conflict where too many would.
    """
    if not grace:
        row.old_secrets, row.old_secrets_until = [], []
        return
    bound_to = old_secret_binding(row.id)
    old = [
        pair for pair in signing_along(row, row.updated_at) if keyring.decrypts(pair[0], bound_to)
    ]
    if len(old) + 2 > _MOST_SIGNING:  # the one that is retired, and the new one
        first = min(until for _, until in old)
        raise Conflict(
            f"{_MOST_SIGNING} secrets sign already; rotate after {first:%Y-%m-%dT%H:%M:%SZ}, when"
            " the first one's grace period is over, or with gracePeriodHours 0, which ends all."
        )
    with suppress(DecryptionFailed):  # then the current secret can't sign along
        old.insert(
            0, (keyring.encrypt(decrypt_secret(row, keyring), bound_to), row.updated_at + grace)
        )
    row.old_secrets = [encrypted for encrypted, _ in old]
    row.old_secrets_until = [until for _, until in old]


_BINDINGS: Final = {
    "secret": secret_binding,
    "old_secrets": old_secret_binding,
    "headers": headers_binding,
}
_COLUMNS: Final[
    dict[str, InstrumentedAttribute[Any]]
] = {  # Any: encrypted bytes, or a list of them
    "secret": Integration.secret,
    "old_secrets": Integration.old_secrets,
    "headers": Integration.headers,
}

Encrypted = Row[str, bytes | None, list[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """How many integrations a run re-encrypted, and which of them cannot be decrypted."""

    done: int
    broken: tuple[str, ...]


class Reencryption:
    """Re-encrypts all secrets under the ring's first key, so that older keys can go.

    Safe while services run: a row changes only where its encrypted bytes are still those that were
    read, so whoever rotates a secret or changes headers meanwhile wins. Nothing needs to be
    remembered between runs: encrypted bytes tell which key encrypted them.
    """

    def __init__(self, transactions: Transactions, keyring: KeyRing) -> None:
        self._transactions = transactions
        self._keyring = keyring

    async def waiting(self) -> int:
        """Return how many integrations hold something that another key encrypted."""
        query = select(func.count()).select_from(Integration).where(self._is_old())
        async with self._transactions.reading() as session:
            return (await session.execute(query)).scalar_one()

    async def run(self, tell: Callable[[int], None]) -> Reencrypted:
        """Re-encrypt all of them, in batches; `tell` is given the count after each.

        One that changes meanwhile is read again; one that cannot be decrypted is left as it is, and
        named. Raises Unavailable while the database is away: run it again, it goes on.
        """
        done = 0
        broken: set[str] = set()
        while await self._batch(broken):
            after = ""
            while batch := await self._batch(broken, after):
                for row in batch:
                    try:
                        done += await self._reencrypt(row)
                    except DecryptionFailed:
                        broken.add(row.id)
                after = batch[-1].id
                tell(done)
        return Reencrypted(done, tuple(sorted(broken)))

    async def _batch(self, broken: Collection[str], after: str = "") -> Sequence[Encrypted]:
        query = (
            select(Integration.id, Integration.secret, Integration.old_secrets, Integration.headers)
            .where(Integration.id > after, Integration.id.not_in(broken), self._is_old())
            .order_by(Integration.id)
            .limit(_BATCH)
        )
        async with self._transactions.reading() as session:
            return (await session.execute(query)).all()

    @rerunnable
    async def _reencrypt(self, row: Encrypted) -> bool:
        """Re-encrypt one integration; tell whether it was there to be, and had not changed."""
        anew = {name: self._anew(row, name) for name in _COLUMNS}
        unchanged = [
            column.is_not_distinct_from(getattr(row, name)) for name, column in _COLUMNS.items()
        ]
        change = update(Integration).where(Integration.id == row.id, *unchanged).values(anew)
        async with self._transactions.noting() as session:
            changed = await session.execute(change.returning(Integration.id))
            return changed.first() is not None

    def _anew(self, row: Encrypted, name: str) -> bytes | list[bytes] | None:
        encrypted: bytes | list[bytes] | None = getattr(row, name)
        place = _BINDINGS[name](row.id)
        if isinstance(encrypted, list):
            return [self._one_anew(each, place) for each in encrypted]
        return None if encrypted is None else self._one_anew(encrypted, place)

    def _one_anew(self, encrypted: bytes, place: str) -> bytes:
        if self._keyring.encrypted_with_current(encrypted):
            return encrypted
        return self._keyring.encrypt(
            self._keyring.decrypt(encrypted, bound_to=place), bound_to=place
        )

    def _is_old(self) -> ColumnElement[bool]:
        mark = self._keyring.current_mark
        each = func.unnest(Integration.old_secrets).column_valued("each")
        return or_(
            func.substring(Integration.secret, 1, len(mark)) != mark,
            func.substring(Integration.headers, 1, len(mark)) != mark,
            exists(select(each).where(func.substring(each, 1, len(mark)) != mark)),
        )
