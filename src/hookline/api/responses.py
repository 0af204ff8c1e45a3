"""What operations answer, and document besides their success; ETags and their conditions.

ETag, If-Match and If-None-Match (RFC 9110): no change overwrites one that it did not see. An
integration's tag is its version in quotes. Its health changes by itself and is no part of the
version, so that nobody's change fails because of it; where it is not a plain one, a hash of it
follows the version, so that If-None-Match never hides news: `"3-5d41402a"`.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request
from pydantic import Field
from starlette.responses import Response

from hookline.errors import FieldProblem, InvalidInput
from hookline.integrations.fields import Document
from hookline.integrations.repository import EXISTING, Versions
from hookline.integrations.serializers import Integration


class WrongField(Document):
    """One wrong field of a request."""

    path: str = Field(
        description="Where it is, from the document's root.",
        examples=["transmission.url", "events.call[0]"],
    )
    message: str = Field(
        description="What to do about it.", examples=["The URL must begin with https://."]
    )


class Problem(Document):
    """What went wrong (RFC 9457)."""

    type: str = Field(
        description="Which kind of problem it is; stable, and an address that explains it.",
        examples=["/problems/not-found"],
        json_schema_extra={"format": "uri-reference"},
    )
    title: str = Field(
        description="The kind of problem in words.", examples=["There is no such object"]
    )
    status: int = Field(ge=400, le=599, description="The HTTP status.", examples=[404])
    detail: str = Field(
        description="A sentence for the person who has to act.",
        examples=["There is no integration 's95eum'."],
    )


class InvalidInputProblem(Problem):
    """Some fields of the request are wrong; each is named."""

    errors: list[WrongField] = Field(description="Every wrong field.")


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


def job_started_or_counted(started: object, location: str) -> Documented:
    """Document the same, or a 200 with what it would come to; `started`: a union of both."""
    counted = {"model": started, "description": "What it comes to; nothing was begun."}
    documented = {200: counted, **job_started(location)}
    documented[202]["description"] = "The job that was begun."
    return documented


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


_LONGEST: Final = 1000  # characters of a header; a hundred tags
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"[ \t]*,*[ \t]*{_TAG}(?:[ \t]*,(?:[ \t]*{_TAG})?)*[ \t]*")
_OURS: Final = re.compile(r'"([1-9][0-9]{0,8})(?:-[0-9a-f]{8})?"')


def etag(shown: Integration) -> str:
    """Return the entity tag of an integration as it is shown."""
    if shown.health.last_error_at is None:
        return version_tag(shown.version)
    digest = sha256(shown.health.model_dump_json().encode()).hexdigest()
    return f'"{shown.version}-{digest[:8]}"'


def version_tag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


async def _if_match(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The `ETag` that the change is based on, or several; `*`: whichever is "
            "current. A stale one is answered with 412, as a weak one is.",
            examples=['"3"'],
            max_length=_LONGEST,
        ),
    ] = None,
) -> Versions:
    """Return the versions that If-Match allows; a weak or foreign tag allows none."""
    return versions_in(_tags(request, "If-Match"))


def versions_in(tags: Sequence[str] | None) -> Versions:
    """Return the versions that entity tags of ours name."""
    if tags is None:
        return None
    if "*" in tags:
        return EXISTING
    return frozenset(int(ours[1]) for tag in tags if (ours := _OURS.fullmatch(tag)))


async def _if_none_match(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="The `ETag` of what is there already, or several: where it still holds, "
            "a GET is answered with a 304 without a body, and a change with 412. `*` lets a PUT "
            "make something new alone.",
            examples=['"3"'],
            max_length=_LONGEST,
        ),
    ] = None,
) -> Sequence[str]:
    """Return the tags that are there already, compared weakly: W/ makes no difference."""
    return [tag.removeprefix("W/") for tag in _tags(request, "If-None-Match") or ()]


def _tags(request: Request, name: str) -> Sequence[str] | None:
    """Return the entity tags in a header, or its `*`; None where it was not sent."""
    lines = request.headers.getlist(name)
    if not lines:
        return None
    value = ", ".join(lines)
    if value.strip() == "*":
        return ["*"]
    if not _LIST.fullmatch(value):
        message = 'Send an ETag as it was read, with its quotes, such as "3"; or *.'
        raise InvalidInput(FieldProblem(name, message))
    return re.findall(_TAG, value)


IfMatch = Annotated[Versions, Depends(_if_match)]
IfNoneMatch = Annotated[Sequence[str], Depends(_if_none_match)]
