"""Where an integration's copies go, with the decrypted secrets that signing needs."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?:\[([^\]]+)\]|([^/?#:\[]+))")


def host_of(url: str) -> str | None:
    """Return a URL's host in lower case, None where it names none.

    Without urllib, which keeps the last URLs it was given, and the tokens in them.
    """
    found = _HOST.match(url)
    return None if found is None else (found[1] or found[2]).lower()


class TransmissionType(StrEnum):
    """The ways out, named as the administrator's form names them."""

    WEBHOOK = "WEBHOOK"
    AWS_SQS = "AWS_SQS"


class Ordering(StrEnum):
    """Which deliveries of an integration go one by one: those of one subject, or none."""

    NONE = "none"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class WebhookTarget:
    """An HTTPS endpoint. `secrets`: the current one, then the old ones, the newest first.

    `until` says of each old secret how long it signs along; none: for as long as the target is.
    """

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    until: tuple[datetime, ...] = ()

    def at(self, now: datetime) -> "WebhookTarget":
        """Return the target without the secrets whose time is over; itself where all sign."""
        if all(each > now for each in self.until):
            return self
        current, *old = self.secrets
        kept = [(secret, end) for secret, end in zip(old, self.until, strict=True) if end > now]
        return replace(
            self,
            secrets=(current, *(secret for secret, _ in kept)),
            until=tuple(end for _, end in kept),
        )


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SqsTarget:
    """An SQS queue and the customer's AWS key for it; the secret also keys `X-SIGNATURE`."""

    url: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


Target = WebhookTarget | SqsTarget


def ordering_of(kind: TransmissionType, url: str, chosen: Ordering) -> Ordering:
    """Return what counts for an integration: what was chosen; a FIFO queue always keeps order."""
    return Ordering.SUBJECT if is_fifo(kind, url) else chosen


def is_fifo(kind: TransmissionType, url: str) -> bool:
    """Tell whether copies go to a FIFO queue, which SQS knows by its name."""
    return kind is TransmissionType.AWS_SQS and url.endswith(".fifo")
