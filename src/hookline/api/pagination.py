"""Cursors: opaque, checked, and stable while rows are added.

A cursor holds the id of the last item that was shown and a check sum over the list that it is
from. It opens nothing: every page is searched inside the caller's scope again.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import Field

from hookline.api.parameters import INTEGER
from hookline.errors import FieldProblem, InvalidInput

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
_CHECK_BYTES = 5

Limit = Annotated[
    Annotated[int, Field(ge=1, le=LARGEST_LIMIT), INTEGER],
    Query(
        description="How many items a page has at most.",
        examples=[DEFAULT_LIMIT],
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=100,
        description="Where the page starts: `next` of the page before, with the same filters.",
    ),
]


def encode_cursor(listing: Sequence[object], last: UUID) -> str:
    """Return the cursor behind the item `last`; `listing` names the list and its filters."""
    return urlsafe_b64encode(last.bytes + _check(listing, last.bytes)).decode()


def decode_cursor(listing: Sequence[object], cursor: str | None) -> UUID | None:
    """Return the item that a page is to follow; raise InvalidInput for any other cursor."""
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii"))
    except (binascii.Error, ValueError) as error:
        raise _not_ours() from error
    if (
        raw[16:] != _check(listing, raw[:16])
        or encode_cursor(listing, UUID(bytes=raw[:16])) != cursor
    ):
        raise _not_ours()
    return UUID(bytes=raw[:16])


def _check(listing: Sequence[object], position: bytes) -> bytes:
    named = repr(tuple(listing)).encode(errors="backslashreplace")
    return sha256(b"cursor\0" + position + named).digest()[:_CHECK_BYTES]


def _not_ours() -> InvalidInput:
    message = "This is not a cursor of this list with these filters; start without one."
    return InvalidInput(FieldProblem("cursor", message))
