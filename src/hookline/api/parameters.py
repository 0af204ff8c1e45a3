"""Query parameters, read strictly: known names, once each, each value in its one documented form.

A mistyped filter would otherwise list everything, and `limit=1_0` would be 10.

A cursor is opaque, checked, and stable while rows are added: it holds the id of the last item that
was shown and a check sum over the list that it is from. It opens nothing: every page is searched
inside the caller's scope again.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from hookline.errors import FieldProblem, InvalidInput, NotFound
from hookline.integrations.fields import PRINTABLE

_Item = TypeVar("_Item")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as Starlette declares it

DEFAULT_LIMIT = 50
LARGEST_LIMIT = 200
_CHECK_BYTES = 5  # of a cursor
_MOST_PARAMETERS = 110  # in one query; the busiest operation takes 100 ids and a period
_LONGEST_NAME = 80  # characters of an unknown name that are said back
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)  # no id names an earlier one
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_BOOLEANS = {"true": True, "false": False}
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_SECOND = slice(17, 19)  # of a timestamp
_BEFORE_MIDNIGHT = (23, 59)  # UTC: the minutes that may have a leap second
NOT_A_TIMESTAMP = (
    "Send a timestamp like 2026-01-31T12:00:00Z; in a query, the + of an offset is written %2B."
)


class StrictRoute(APIRoute):
    """A route that refuses parameters it does not know, and those that are given once too often."""

    def get_route_handler(self) -> Handler:
        """Wrap FastAPI's handler."""
        handle = super().get_route_handler()
        known = dict(_parameters(self.dependant))

        async def strict(request: Request) -> Response:
            refuse_unknown_parameters(request, known)
            return await handle(request)

        return strict


def refuse_unknown_parameters(request: Request, known: Mapping[str, bool] | None = None) -> None:
    """Raise InvalidInput for parameters that are not known, or are repeated and must not be.

    `known` says of each whether it may be repeated; without it none is known.
    """
    if not request.scope["query_string"]:
        return
    seen: set[str] = set()
    problems: dict[str, FieldProblem] = {}
    for name in _names(request.scope["query_string"]):
        repeatable = (known or {}).get(name)
        if repeatable is None:
            problems[name] = FieldProblem(name[:_LONGEST_NAME] or "query", _unknown(known or {}))
        elif name in seen and not repeatable:
            problems[name] = FieldProblem(name, "Give this parameter once.")
        seen.add(name)
    if problems:
        raise InvalidInput(*problems.values())


def _names(query: bytes) -> list[str]:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except UnicodeDecodeError as error:
        message = "The query is not UTF-8, percent-encoded."
        raise InvalidInput(FieldProblem("query", message)) from error
    except ValueError as error:
        message = f"Send at most {_MOST_PARAMETERS} parameters."
        raise InvalidInput(FieldProblem("query", message)) from error
    return [name for name, _ in pairs]


def _unknown(known: Mapping[str, bool]) -> str:
    if not known:
        return "There is no such parameter; none is taken here."
    return f"There is no such parameter; possible are {', '.join(sorted(known))}."


def _parameters(dependant: Dependant) -> list[tuple[str, bool]]:
    """Return the names of a route's query parameters, and of each whether it may be repeated."""
    own = [(field.alias, _is_list(field.field_info.annotation)) for field in dependant.query_params]
    return own + [each for other in dependant.dependencies for each in _parameters(other)]


def _is_list(annotation: object) -> bool:
    return any(get_origin(option) is list for option in (annotation, *get_args(annotation)))


def _integer(value: object) -> object:
    if isinstance(value, str) and not _INTEGER.fullmatch(value):
        raise PydanticCustomError("integer", "Send an integer in decimal digits.")
    return value


def _boolean(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in _BOOLEANS:
        raise PydanticCustomError("boolean", "Send true or false.")
    return _BOOLEANS[value]


def _timestamp(value: object) -> object:
    """Read RFC 3339 as UTC, which a timestamp is that names no zone.

    A leap second is the one behind it, since no clock here has it. What is before or after all
    moments that ids and records can name is the first or last of them: nothing can lie beyond.
    """
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise PydanticCustomError("timestamp", NOT_A_TIMESTAMP)
    leaps = value[_SECOND] == "60"
    try:
        written = value[: _SECOND.start] + "59" + value[_SECOND.stop :] if leaps else value
        read = datetime.fromisoformat(written.upper())
    except ValueError as error:
        raise PydanticCustomError("timestamp", NOT_A_TIMESTAMP) from error
    if read.tzinfo is None:
        read = read.replace(tzinfo=UTC)
    read = min(max(read, _FIRST_MOMENT), _LAST_MOMENT).astimezone(UTC)
    if leaps and (read.hour, read.minute) != _BEFORE_MIDNIGHT:
        raise PydanticCustomError("timestamp", NOT_A_TIMESTAMP)
    return read + min(timedelta(seconds=leaps), _LAST_MOMENT - read)


INTEGER = BeforeValidator(_integer)
"""Behind an integer's bounds: `Annotated[int, Field(…), INTEGER]`."""
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]


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
EventTypeFilter = Annotated[
    Annotated[str, Field(min_length=1, max_length=128), PRINTABLE] | None,
    Query(description="Only of this type.", examples=["call:completed"]),
]
Since = Annotated[
    Timestamp | None,
    Query(
        description="Only from this time on (RFC 3339; UTC where it names no zone).",
        examples=["2026-01-31T12:00:00Z"],
    ),
]
Until = Annotated[
    Timestamp | None,
    Query(description="Only before this time.", examples=["2026-02-01T00:00:00Z"]),
]


def encode_cursor(listing: Sequence[object], last: UUID) -> str:
    """Return the cursor behind the item `last`; `listing` names the list and its filters."""
    return urlsafe_b64encode(last.bytes + _check(listing, last.bytes)).decode()


def page_of(
    listing: Sequence[object],
    found: Sequence[_Item],
    limit: int,
    id_of: Callable[[_Item], UUID],
    left_off: UUID | None = None,
) -> tuple[list[_Item], str | None]:
    """Return a page's items and the cursor behind them; `found` has one more where any follow.

    Where the search left off before it had found so many, the next page goes on from there.
    """
    shown = [*found[:limit]]
    last = id_of(shown[-1]) if len(found) > limit else left_off
    return shown, None if last is None else encode_cursor(listing, last)


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


def existing_id(text: str, kind: str) -> UUID:
    """Read an id from a path; what is none belongs to nothing, so NotFound."""
    try:
        identifier = UUID(text)
    except ValueError:
        identifier = None
    if identifier is None or str(identifier) != text.lower():
        raise NotFound(f"There is no {kind} {text[:40]!a}.")
    return identifier


def _check(listing: Sequence[object], position: bytes) -> bytes:
    named = repr(tuple(listing)).encode(errors="backslashreplace")
    return sha256(b"cursor\0" + position + named).digest()[:_CHECK_BYTES]


def _not_ours() -> InvalidInput:
    message = "This is not a cursor of this list with these filters; start without one."
    return InvalidInput(FieldProblem("cursor", message))
