"""What operations answer, and document besides their success."""

from typing import Any, Final

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from hookline.api.schemas import InvalidInputProblem, Problem

Documented = dict[int | str, dict[str, Any]]  # Any: as FastAPI declares it

_ALWAYS = (401, 429, 500, 503)
_MEANINGS = {
    400: "The body is not the JSON it should be.",
    401: "A valid key is needed.",
    403: "The key may not do this.",
    404: "There is no such object, or it is another tenant's.",
    409: "The object's state forbids this.",
    412: "The object was changed meanwhile.",
    413: "The body is too large, or nested too deep.",
    415: "The body is of another type than JSON, or compressed.",
    422: "Some fields are wrong; each is named.",
    429: "Too much at once; come again after `Retry-After` seconds.",
    500: "Hookline made a mistake.",
    503: "Not available at the moment; come again after `Retry-After` seconds.",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before the same request.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_ETAG = {
    "description": "What was read, for `If-Match` and `If-None-Match`.",
    "schema": {"type": "string"},
    "example": '"3"',
}

WITH_ETAG: Documented = {200: {"headers": {"ETag": _ETAG}}}
NOT_MODIFIED: Documented = {
    304: {
        "description": "It is what `If-None-Match` names; there is no body.",
        "headers": {"ETag": _ETAG},
    }
}
CREATED: Documented = {
    201: {
        "headers": {
            "ETag": _ETAG,
            "Location": {
                "description": "The integration's address.",
                "schema": {"type": "string", "format": "uri-reference"},
                "example": "/v1/integrations/s95eum",
            },
        }
    }
}


def job_started(location: str) -> Documented:
    """Document a job that begins with a 202 and its address."""
    address = {
        "description": "The job's address.",
        "schema": {"type": "string", "format": "uri-reference"},
        "example": location,
    }
    return {202: {"headers": {"Location": address}}}


def job_started_or_counted(counted: type[BaseModel], location: str) -> Documented:
    """Document the same, or a 200 with what it would come to."""
    document = {"model": counted, "description": "What it comes to; nothing was begun."}
    return {200: document, **job_started(location)}


_JSON: Final = (b"content-type", b"application/json")


class Accepted(Response):
    """A 202, with no more made for it than it needs."""

    def __init__(self, document: dict[str, Any]) -> None:  # Any: a JSON document
        self.status_code = 202
        self.background = None
        self.body = orjson.dumps(document)
        self.raw_headers = [_JSON, (b"content-length", b"%d" % len(self.body))]


def failures(*statuses: int) -> Documented:
    """Document these failures, and those that every operation behind a key has."""
    return {status: _failure(status) for status in sorted({*statuses, *_ALWAYS})}


def _failure(status: int) -> dict[str, Any]:
    model = InvalidInputProblem if status == 422 else Problem  # noqa: PLR2004 - HTTP's own number
    documented: dict[str, Any] = {"model": model, "description": _MEANINGS[status]}
    if status in {429, 503}:
        documented["headers"] = _RETRY_AFTER
    return documented
