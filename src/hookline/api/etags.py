"""ETag and If-Match: a version in quotes, so that no change overwrites one that it didn't see."""

import re
from typing import Annotated

from fastapi import Header

from hookline.integrations.service import Versions

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The `ETag` that the change is based on; `*` or no header: whichever is "
        "current. A stale one is answered with 412.",
        examples=['"3"'],
        max_length=1000,
    ),
]


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def allowed_versions(if_match: str | None) -> Versions:
    """Return the versions that If-Match allows; a weak or foreign tag allows none (RFC 9110)."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (part.strip() for part in if_match.split(","))
    return frozenset(int(tag[1:-1]) for tag in tags if re.fullmatch(r'"[0-9]{1,9}"', tag))
