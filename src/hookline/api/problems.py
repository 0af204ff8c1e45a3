"""Which error becomes which status, as RFC 9457 `application/problem+json`.

Nothing of a request's values is repeated besides the paths of wrong fields, and nothing of ours
leaks: an unexpected error is logged here and answered with a sentence. pydantic's own words never
come through: they speak of Python's types, and change with its versions.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from math import ceil
from typing import Any, get_args

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic.alias_generators import to_camel
from pydantic_core.core_schema import ErrorType
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookline import errors
from hookline.api.middleware import OF_API
from hookline.db.errors import comes_from_away_database, unavailable
from hookline.domain.targets import TransmissionType
from hookline.errors import (
    FieldProblem,
    HooklineError,
    InvalidInput,
    Overloaded,
    Unavailable,
    forget_tracebacks,
)
from hookline.integrations.requests import FIXED_FIELDS
from hookline.logs import get_logger

_PLACES = frozenset({"body", "query", "path", "header"})
_TAGS = frozenset(TransmissionType)
_MOST = 50  # problems in one answer
_LONGEST_STEP = 80  # characters of a name that somebody else chose
_LIBRARY_KINDS = frozenset(get_args(ErrorType))
_OTHERWISE_WRONG = "This value is not possible here."
_ENUM_MEMBER = re.compile(r"<\w+\.\w+: '([^']*)'>")  # how Python prints one

_SENTENCES = {
    "missing": "This is needed.",
    "extra_forbidden": "There is no such field; remove it.",
    "string_unicode": "Leave out lone surrogates.",
    "none_required": "Only null is possible so far; leave it out.",
    "model_attributes_type": "Send a JSON object.",
    "model_type": "Send a JSON object.",
    "dict_type": "Send a JSON object.",
    "string_type": "Send a string.",
    "bool_type": "Send true or false.",
    "bool_parsing": "Send true or false.",
    "int_type": "Send an integer.",
    "int_parsing": "Send an integer.",
    "int_from_float": "Send an integer.",
    "int_parsing_size": "Send an integer.",
    "float_type": "Send a number.",
    "float_parsing": "Send a number.",
    "finite_number": "Send a number that fits a double.",
    "list_type": "Send an array.",
    "too_short": "Send at least {min_length}.",
    "too_long": "Send at most {max_length}.",
    "invalid_key": "Send a string.",
    "union_tag_not_found": "`type` is needed, to tell what kind this is.",
    "string_pattern_mismatch": "This has characters, or a form, that are not possible here.",
    "datetime_from_date_parsing": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "datetime_parsing": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "datetime_type": "Send a timestamp like 2026-01-31T12:00:00Z.",
    "timezone_aware": "Add a time zone, such as Z.",
    "string_too_long": "Send at most {max_length} characters.",
    "string_too_short": "Send {min_length} or more characters.",
    "greater_than": "Send more than {gt}.",
    "greater_than_equal": "Send at least {ge}.",
    "less_than": "Send less than {lt}.",
    "less_than_equal": "Send at most {le}.",
    "literal_error": "Possible are: {expected}.",
    "enum": "Possible are: {expected}.",
    "union_tag_invalid": "Possible are: {expected_tags}.",
    "uuid_parsing": "Send a UUID.",
    "uuid_type": "Send a UUID.",
}
MEDIA_TYPE = "application/problem+json"
_CLOSED_CONNECTION = 413  # the rest of the body is not read
_FIXED_FIELDS_AT: Mapping[str, Mapping[str, str]] = {"/v1/integrations": FIXED_FIELDS}

_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its stable name, its status and its title."""

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The problem's `type`: a reference that leads to its explanation."""
        return f"/problems/{self.name}"


KINDS: Mapping[type[HooklineError], Kind] = {
    errors.MalformedBody: Kind("malformed-body", 400, "The body is not the JSON it should be"),
    errors.NotAuthenticated: Kind("not-authenticated", 401, "A valid key is needed"),
    errors.Forbidden: Kind("forbidden", 403, "The key may not do this"),
    errors.NotFound: Kind("not-found", 404, "There is no such object"),
    errors.Conflict: Kind("conflict", 409, "The object's state forbids this"),
    errors.PreconditionFailed: Kind("stale", 412, "The object was changed meanwhile"),
    errors.TooLarge: Kind("too-large", 413, "Too large"),
    errors.UnsupportedBody: Kind("unsupported-media-type", 415, "The body must be plain JSON"),
    errors.InvalidInput: Kind("invalid-input", 422, "Some fields are wrong"),
    errors.Overloaded: Kind("overloaded", 429, "Too much at once"),
    errors.Unavailable: Kind("unavailable", 503, "Not available at the moment"),
}
OF_HTTP: Mapping[int, Kind] = {
    405: Kind("method-not-allowed", 405, "This method is not possible here"),
}
OF_TRANSPORT: Mapping[int, tuple[Kind, str]] = {
    400: (
        Kind("malformed-request", 400, "The request is not HTTP as it should be"),
        "This is not HTTP/1.1; see RFC 9112 for how a request is framed.",
    ),
    405: (OF_HTTP[405], "CONNECT is not possible: this server is no proxy."),
    408: (
        Kind("request-timeout", 408, "The request did not come in time"),
        "The request did not end in time; send it again, without a pause.",
    ),
    414: (
        Kind("address-too-long", 414, "The address is too long"),
        "The request's first line has more than 32 KiB; send a shorter address.",
    ),
    431: (
        Kind("headers-too-large", 431, "The headers are too large"),
        "The request's line and headers have more than 64 KiB, or are more than 128; send fewer.",
    ),
    501: (
        Kind("not-implemented", 501, "This is not done here"),
        "This method is not known here; methods are in capitals: GET, HEAD, POST, PUT, PATCH.",
    ),
    505: (
        Kind("http-version-not-supported", 505, "This version of HTTP is not spoken here"),
        "Send the request as HTTP/1.1.",
    ),
}
INTERNAL = Kind("internal", 500, "Hookline made a mistake")


class ProblemResponses:
    """Middleware that answers whatever goes wrong with a problem document."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; an error before the response's start becomes the response."""
        started = False

        async def send_noticed(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_noticed)
        except Exception as error:
            if started:
                raise
            response = _response_to(error, scope)
            forget_tracebacks(error)
            await response(scope, receive, send)


def problem(
    kind: Kind,
    detail: str,
    *,
    fields: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document as a response, whatever characters it quotes."""
    document: dict[str, Any] = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    if listed := _listed(fields):
        document["errors"] = listed
    body = json.dumps(document).encode()  # ASCII: a lone surrogate in a path is escaped too
    return Response(body, kind.status, dict(headers or {}), MEDIA_TYPE)


def problem_of(error: HooklineError) -> Response:
    """Return the response for an error that Hookline raised on purpose."""
    kind = _kind_of(error)
    if kind is None:
        return _internal(error)
    if isinstance(error, InvalidInput):
        return problem(kind, _summary(error.fields), fields=error.fields)
    return problem(kind, str(error), headers=_headers(error, kind))


@lru_cache(maxsize=64)  # floods of what is no request cost no more than they must
def transport_problem(status: int, detail: str | None = None, reader: bytes = b"") -> bytes:
    """Return a whole HTTP/1.1 response, which ends the connection, for what is no request.

    Pages of the origin `reader` may read it.
    """
    kind, usual = OF_TRANSPORT[status]
    response = problem(kind, detail or usual, headers={"Connection": "close"})
    allowed = [(b"access-control-allow-origin", reader), (b"vary", b"Origin")] if reader else []
    lines = (b"%b: %b\r\n" % header for header in (*response.raw_headers, *OF_API, *allowed))
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, phrase, b"".join(lines), bytes(response.body))


def problem_document(error: HooklineError) -> dict[str, Any]:  # Any: a JSON document
    """Return what a problem document says of an error, without a status: a part of an answer."""
    kind = _kind_of(error) or INTERNAL
    document: dict[str, Any] = {"type": kind.type, "title": kind.title, "detail": str(error)}
    if isinstance(error, InvalidInput):
        document["detail"] = _summary(error.fields)
        document["errors"] = _listed(error.fields)
    if isinstance(error, Overloaded):
        document["retryAfter"] = _retry_after(error)
    return document


def _retry_after(error: Overloaded | Unavailable) -> int:
    return max(1, ceil(error.retry_after))


def _kind_of(error: HooklineError) -> Kind | None:
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), None)


def _listed(fields: Iterable[FieldProblem]) -> list[dict[str, str]]:
    return [{"path": field.path, "message": field.message} for field in fields]


def _headers(error: HooklineError, kind: Kind) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, errors.NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Overloaded | Unavailable):
        headers["Retry-After"] = str(_retry_after(error))
    if kind.status == _CLOSED_CONNECTION:
        headers["Connection"] = "close"
    return headers


def _summary(fields: tuple[FieldProblem, ...]) -> str:
    if len(fields) == 1:
        return f"{fields[0].path}: {fields[0].message}"
    return f"{len(fields)} fields are wrong; `errors` says which, and what to do about each."


def _response_to(error: Exception, scope: Scope) -> Response:
    match error:
        case HooklineError():
            return problem_of(error)
        case RequestValidationError():
            fixed = _FIXED_FIELDS_AT.get(scope["path"], {})
            return problem_of(InvalidInput(*field_problems(error.errors(), fixed)))
        case HTTPException():
            return _of_http(error, Request(scope))
        case _ if comes_from_away_database(error):
            return problem_of(unavailable(error))
        case _:
            return _internal(error)


def _of_http(error: HTTPException, request: Request) -> Response:
    status = HTTPStatus(error.status_code)
    kind = OF_HTTP.get(status) or Kind(_slug(status), status.value, status.phrase)
    detail, headers = error.detail, error.headers
    if status is HTTPStatus.NOT_FOUND:
        kind, detail = KINDS[errors.NotFound], errors.NO_SUCH_ADDRESS
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_methods_at(request)))
        detail = f"{request.method} is not possible here; possible are {allowed}."
        headers = {"Allow": allowed}
    return problem(kind, detail, headers=headers)


def _methods_at(request: Request) -> set[str]:
    """Return the methods of all routes at this address; Starlette names those of the first one.

    A route for exactly this address hides those that would take a part of it for an id.
    """
    routes = [
        context.route
        for context in iter_route_contexts(request.app.routes)
        if isinstance(context.route, Route)
        and context.route.matches(request.scope)[0] is not Match.NONE
    ]
    exact = [route for route in routes if "{" not in route.path]
    methods = {method for route in exact or routes for method in route.methods or ()}
    return methods | {"HEAD"} if "GET" in methods else methods


def _slug(status: HTTPStatus) -> str:
    return status.phrase.lower().replace(" ", "-")


def _internal(error: BaseException) -> Response:
    _LOG.error("request.failed", exc_info=error)
    return problem(INTERNAL, "The request failed through no fault of yours; the log says why.")


def field_problems(
    found: Iterable[Mapping[str, Any]], fixed: Mapping[str, str]
) -> list[FieldProblem]:
    """Return each finding with a path like `transmission.url` or `events.call[0]`.

    `fixed` says of fields that answers alone have why they must not be sent.
    """
    return [_problem(finding, fixed) for finding, _ in zip(found, range(_MOST), strict=False)]


def _problem(finding: Mapping[str, Any], fixed: Mapping[str, str]) -> FieldProblem:
    kind: str = finding["type"]
    path = _path(finding["loc"])
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        path = f"{path}.type"
    if kind == "extra_forbidden" and path in fixed:
        return FieldProblem(path, fixed[path])
    if kind == "extra_forbidden" and "_" in (name := str(finding["loc"][-1]).strip("_")):
        alike = to_camel(name[:_LONGEST_STEP])
        return FieldProblem(path, f"There is no such field; names are written like {alike}.")
    return FieldProblem(path or "body", _sentence(kind, finding))


def _sentence(kind: str, finding: Mapping[str, Any]) -> str:
    if kind in _SENTENCES:
        bounds = {name: _told(value) for name, value in finding.get("ctx", {}).items()}
        return _SENTENCES[kind].format(**bounds)
    return _OTHERWISE_WRONG if kind in _LIBRARY_KINDS else str(finding["msg"])


def _told(bound: object) -> str:
    """Return a bound as a person writes it: 1000, not 1000.0, and values without quotes."""
    if isinstance(bound, float) and bound.is_integer():
        return str(int(bound))
    return _ENUM_MEMBER.sub(r"\1", str(bound)).replace("'", "")


def _path(steps: Sequence[int | str]) -> str:
    if steps and steps[0] in _PLACES:
        steps = steps[1:]
    path = ""
    before: int | str | None = None
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (before == "transmission" and step in _TAGS):
            path += f".{step[:_LONGEST_STEP]}"
        before = step
    return path.removeprefix(".")
