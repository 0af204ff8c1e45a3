"""Query parameters, read strictly: known names, once each, each value in its one documented form.

A mistyped filter would otherwise list everything, and `limit=1_0` would be 10.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from hookline.errors import FieldProblem, InvalidInput

Handler = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as Starlette declares it

_MOST_PARAMETERS = 110  # in one query; the busiest operation takes 100 ids and a period
_LONGEST_NAME = 80  # characters of an unknown name that are said back
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_BOOLEANS = {"true": True, "false": False}
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
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
    """Read RFC 3339; a timestamp that names no zone is UTC."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        raise PydanticCustomError("timestamp", NOT_A_TIMESTAMP)
    try:
        read = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise PydanticCustomError("timestamp", NOT_A_TIMESTAMP) from error
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


INTEGER = BeforeValidator(_integer)
"""Behind an integer's bounds: `Annotated[int, Field(…), INTEGER]`."""
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]
