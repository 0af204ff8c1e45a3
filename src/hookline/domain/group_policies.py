"""What events of each group are worth to an integration: retries, and until when to send them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from hookline.domain.ids import uuid_of

LATEST: Final = "latest"
MOST_RETRIES: Final = 3  # what receivers are told
LONGEST_DELAY: Final = 86_400.0  # seconds: a day
LONGEST_AGE: Final = 2_592_000.0  # seconds: 30 days


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """What an integration asked for of one group's events.

    `retry_delays`: seconds before each retry; None leaves the service's own. `max_age`: seconds
    after acceptance for which an event is sent. `keep_latest`: of several that wait, of one type
    and subject, only the newest is sent.
    """

    retry_delays: tuple[float, ...] | None = None
    max_age: float | None = None
    keep_latest: bool = False


GroupPolicies = Mapping[str, GroupPolicy]
"""By a group's name; what an integration says nothing of is left out."""

NO_POLICY: Final = GroupPolicy()


def restore_policies(document: Mapping[str, Mapping[str, Any]]) -> GroupPolicies:
    """Understand `delivery` as it is stored: as the API shows it, without what is left out."""
    return {
        group: GroupPolicy(
            retry_delays=tuple(parts["retryDelays"]) if "retryDelays" in parts else None,
            max_age=parts.get("maxAge"),
            keep_latest=parts.get("keep") == LATEST,
        )
        for group, parts in document.items()
    }


def replacement_key(event_type: str, subject: str) -> UUID:
    """Return what events share that replace one another: a digest of their type and subject."""
    named = f"{event_type}\0{subject}".encode(errors="surrogatepass")
    return uuid_of(hashlib.sha256(named).digest()[:16])
