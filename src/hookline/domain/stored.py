"""Reads enum values from the database, also those that a newer version wrote.

While processes of two versions share a database, or after a step back to the older one, a row may
hold a word that this version does not know. It is read as the nearest word that it does know: one
such row must cost neither a list nor the snapshot the others.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, TypeVar, get_args

from hookline.domain.access import Role
from hookline.domain.deliveries import (
    DeliveryStatus,
    ErrorKind,
    FailReason,
    ResponseDefect,
    SkipReason,
    TlsReason,
)
from hookline.domain.health import HealthState
from hookline.domain.selection import Licence
from hookline.domain.targets import Ordering

WordT = TypeVar("WordT", bound=StrEnum)

_REASONS: Final[Mapping[str, SkipReason | FailReason]] = MappingProxyType(
    {reason.value: reason for reason in (*SkipReason, *FailReason)}
)
AttemptOutcome = Literal["delivered", "retry", "failed"]
DisabledReason = Literal["gone", "failing", "manual", "moved", "unreadable"]


def error_of(stored: str | None) -> ErrorKind | None:
    """Return what went wrong with an attempt; what is not known is `internal`."""
    return None if stored is None else _known(ErrorKind, stored) or ErrorKind.INTERNAL


def reason_of(stored: str | None) -> SkipReason | FailReason | None:
    """Return why a delivery was skipped or has failed; what is not known is `internal`."""
    return None if stored is None else _REASONS.get(stored, FailReason.INTERNAL)


def status_of(stored: str) -> DeliveryStatus:
    """Return where a delivery stands; what is not known is `failed`: final, and retried by hand."""
    return _known(DeliveryStatus, stored) or DeliveryStatus.FAILED


def attempt_outcome_of(stored: str) -> AttemptOutcome:
    """Return how an attempt ended; what is not known is `failed`."""
    known: tuple[AttemptOutcome, ...] = get_args(AttemptOutcome)
    return next((each for each in known if each == stored), "failed")


def tls_reason_of(stored: str | None) -> TlsReason | None:
    """Return why TLS did not come about; what is not known is left out, its `error` says `tls`."""
    return None if stored is None else _known(TlsReason, stored)


def response_defect_of(stored: str | None) -> ResponseDefect | None:
    """Return what was odd about a response; what is not known is left out."""
    return None if stored is None else _known(ResponseDefect, stored)


def health_state_of(stored: str) -> HealthState:
    """Return an integration's health; what is not known is `failing`, which holds nothing back."""
    return _known(HealthState, stored) or HealthState.FAILING


def disabled_reason_of(stored: str | None) -> DisabledReason | None:
    """Return why an integration was switched off; what is not known is `manual`."""
    if stored is None:
        return None
    known: tuple[DisabledReason, ...] = get_args(DisabledReason)
    return next((each for each in known if each == stored), "manual")


def ordering_chosen(stored: str) -> Ordering:
    """Return the ordering that was chosen; what is not known is `subject`, the strictest."""
    return _known(Ordering, stored) or Ordering.SUBJECT


def licence_of(stored: str) -> Licence:
    """Return a PBX's licence; what is not known is `x-bees`, as for a PBX without a record."""
    return _known(Licence, stored) or Licence.X_BEES


def role_of(stored: str) -> Role | None:
    """Return what a key is for; what is not known is nothing that this version may allow."""
    return _known(Role, stored)


def _known(words: type[WordT], stored: str) -> WordT | None:
    try:
        return words(stored)
    except ValueError:
        return None
