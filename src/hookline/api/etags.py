"""ETag, If-Match and If-None-Match (RFC 9110): no change overwrites one that it did not see.

An integration's tag is its version in quotes. Its health changes by itself and is no part of the
version, so that nobody's change fails because of it; where it is not a plain one, a hash of it
follows the version, so that If-None-Match never hides news: `"3-5d41402a"`.
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from hookline.errors import FieldProblem, InvalidInput
from hookline.integrations.serializers import Integration
from hookline.integrations.service import Versions

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


def _if_match(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="If-Match",
            description="The `ETag` that the change is based on, or several; `*` or no header: "
            "whichever is current. A stale one is answered with 412, as a weak one is.",
            examples=['"3"'],
            max_length=_LONGEST,
        ),
    ] = None,
) -> Versions:
    """Return the versions that If-Match allows; a weak or foreign tag allows none."""
    tags = _tags(request, "If-Match")
    if tags is None or "*" in tags:
        return None
    return frozenset(int(ours[1]) for tag in tags if (ours := _OURS.fullmatch(tag)))


def _if_none_match(
    request: Request,
    _documented: Annotated[
        str | None,
        Header(
            alias="If-None-Match",
            description="The `ETag` of what is there already, or several: where it still holds, "
            "the answer is a 304 without a body.",
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
