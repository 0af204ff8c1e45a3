"""The identifiers Hookline makes, and what can be read from them."""

import secrets
import string
import time
from datetime import UTC, datetime
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto

_INTEGRATION_ALPHABET = string.ascii_lowercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits
_NS_PER_MS = 1_000_000
_PUT_BACK_MS = 1_000  # what the source is ahead of the clock by itself is far less


def new_uuid() -> UUID:
    """Return a new UUIDv7 (RFC 9562): its first 48 bits are milliseconds since the epoch.

    Later ones are higher, unless the clock was put back by more than a second: then they follow
    it. An id names the day whose partition it lies in: a mistaken day must not stay.
    """
    made = uuid_utils.uuid7().bytes
    now_ms = time.time_ns() // _NS_PER_MS
    if int.from_bytes(made[:6]) - now_ms > _PUT_BACK_MS:  # the source goes on from its latest id
        return UUID(int=(now_ms << 80) | (0x7 << 76) | (0x2 << 62) | _random_bits())
    return uuid_of(made)


def uuid_of(raw: bytes) -> UUID:
    """Return the UUID of 16 bytes.

    It is asyncpg's: made, hashed and printed in C, a tenth of the standard library's time, whose
    kind it is and whose equal.
    """
    made: UUID = pgproto.UUID(raw)
    return made


def created_at(identifier: UUID) -> datetime:
    """Return the moment, in UTC and to the millisecond, that a UUIDv7 names."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)


def lowest_uuid(moment: datetime) -> UUID:
    """Return the lowest UUIDv7 of a moment: what a partition or a time filter starts at."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | (0x7 << 76) | (0x2 << 62))


def new_integration_id() -> str:
    """Return six characters of `[a-z0-9]`, the form that envelopes carry."""
    return "".join(secrets.choice(_INTEGRATION_ALPHABET) for _ in range(6))


def new_webhook_secret() -> str:
    """Return 32 characters of `[A-Za-z0-9]`: valid as text and, all of it, as base64."""
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(32))


def _random_bits() -> int:
    """Return random bits for all of a UUIDv7 but its time, version and variant."""
    return (secrets.randbits(12) << 64) | secrets.randbits(62)
