"""What can become of a delivery: statuses, reasons, error kinds and outcomes, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec


class DeliveryStatus(StrEnum):
    """Where a delivery stands; all but `pending` are final until somebody asks for a retry."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why an integration did not get an event that it was considered for."""

    NOT_SELECTED = "not_selected"
    DISABLED = "disabled"
    LICENCE = "licence"
    FILTERED = "filtered"
    DELETED = "deleted"
    UNKNOWN_TYPE = "unknown_type"
    STALE = "stale"  # older than its integration wants events of its group
    SUPERSEDED = "superseded"  # a newer one of its type and subject went instead
    ERASED = "erased"


class FailReason(StrEnum):
    """Why a delivery failed for good."""

    REJECTED = "rejected"
    GONE = "gone"
    EXHAUSTED = "exhausted"
    BLOCKED = "blocked"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"


class ErrorKind(StrEnum):
    """What went wrong with one attempt: a closed list that receivers and charts rely on."""

    DNS = "dns"  # the target's name has no address
    REFUSED = "refused"  # nothing listens, or the host or network cannot be reached
    RESET = "reset"  # the connection ended before an answer had come
    TLS = "tls"  # no trusted, valid certificate for this name, or a protocol below TLS 1.2
    TIMEOUT = "timeout"  # the attempt's whole time ran out
    BLOCKED = "blocked"  # the target is not one that Hookline may connect to
    STATUS = "status"  # an answer with a status outside 200–299
    PROTOCOL = "protocol"  # an answer that is not HTTP
    THROTTLED = "throttled"  # the queue's service asked to slow down
    CREDENTIALS = "credentials"  # the queue's service refused the key, or what the key may do
    QUEUE = "queue"  # there is no such queue
    ENCRYPTION = "encryption"  # the queue's KMS key refused
    INVALID = "invalid"  # the queue's service refused the message itself
    SERVICE = "service"  # the queue's service failed
    TOO_LARGE = "too_large"  # over the size that the target takes
    INTERNAL = "internal"  # a fault of Hookline's own


class TlsReason(StrEnum):
    """Why TLS with a target did not come about: a closed list."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_HOST = "wrong_host"  # the certificate is for other names
    SELF_SIGNED = "self_signed"
    UNKNOWN_ISSUER = "unknown_issuer"  # its chain ends at an authority that is not trusted
    INCOMPLETE_CHAIN = "incomplete_chain"  # it ends before an authority: an intermediate is missing
    REVOKED = "revoked"
    INVALID_CERTIFICATE = "invalid_certificate"  # whatever else is wrong with it: a weak key, say
    PROTOCOL_VERSION = "protocol_version"  # nothing from TLS 1.2 on is spoken
    CLIENT_CERTIFICATE = "client_certificate"  # the target wants one of us
    NOT_TLS = "not_tls"  # what answers on that port does not speak TLS
    HANDSHAKE = "handshake"  # it was broken off: no cipher in common, a name that is not served


class ResponseDefect(StrEnum):
    """What of a response was not HTTP/1.1: a closed list. What the status means is not changed."""

    LEADING_BYTES = "leading_bytes"  # something in front of the status line
    STATUS_LINE = "status_line"  # odd spaces, letter case or version; the status can be read
    LINE_ENDS = "line_ends"  # lines that do not end with CR LF
    HEADER = "header"  # lines that are no header, folded ones, control characters
    HEAD_TOO_LARGE = "head_too_large"  # more than 64 KiB or 128 headers
    CONTENT_LENGTH = "content_length"  # several, none that is a number, or one beside chunks
    TRANSFER_ENCODING = "transfer_encoding"  # another one than `chunked`
    CHUNKS = "chunks"  # a chunk that can't be read
    UNEXPECTED_BODY = "unexpected_body"  # bytes beyond the end, or a body with a 204
    TRUNCATED = "truncated"  # the connection ended before the response did
    UNFINISHED = "unfinished"  # the attempt's time ran out before the response ended


class Verdict(StrEnum):
    """What one attempt means for its delivery, before the bound on attempts is looked at."""

    DELIVERED = "delivered"
    RETRY = "retry"  # may succeed later
    REJECTED = "rejected"  # a retry would be useless
    GONE = "gone"  # the target asked never to be called again
    BLOCKED = "blocked"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What a sink found out by sending once. A failing target is this value, never an exception.

    `response` holds at most 4 KiB of what was answered, as raw bytes; `retry_after` is seconds
    from now, already parsed, not yet capped.
    """

    verdict: Verdict
    started_at: datetime
    duration_ms: int
    error: ErrorKind | None = None
    status_code: int | None = None
    response: bytes = b""
    retry_after: float | None = None
    response_defect: ResponseDefect | None = None
    tls_reason: TlsReason | None = None
    body_bytes: int | None = None  # of a copy that was too large
    headers: tuple[tuple[str, str], ...] = ()  # that were sent, of a shipment that asks for them
    spent: float = 0.0  # seconds of CPU beyond a usual attempt's


def hint_of(body_bytes: int | None) -> str | None:
    """Return what helps against a copy that was too large, for the person who reads of it."""
    if body_bytes is None:
        return None
    return (
        f"The body has {body_bytes:,} bytes, more than the target takes. Have the integration "
        "leave out what it does not need: `omit`."
    )


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target has it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Not yet: another attempt is due after `delay` seconds, by the database's clock."""

    delay: float


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not get there by itself."""

    reason: FailReason


@dataclass(frozen=True, slots=True)
class Skipped:
    """It will not be sent: the integration no longer wants or exists."""

    reason: SkipReason


Outcome = Delivered | RetryAt | Failed | Skipped
