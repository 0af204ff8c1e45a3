"""What a newer version wrote is read as the nearest word that this one knows."""

import pytest

from hookline.domain import stored
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

READERS = [
    (stored.error_of, [*ErrorKind], ErrorKind.INTERNAL),
    (stored.reason_of, [*SkipReason, *FailReason], FailReason.INTERNAL),
    (stored.status_of, [*DeliveryStatus], DeliveryStatus.FAILED),
    (stored.attempt_outcome_of, ["delivered", "retry", "failed"], "failed"),
    (stored.tls_reason_of, [*TlsReason], None),
    (stored.response_defect_of, [*ResponseDefect], None),
    (stored.health_state_of, [*HealthState], HealthState.FAILING),
    (stored.disabled_reason_of, ["gone", "failing", "manual", "moved", "unreadable"], "manual"),
    (stored.ordering_chosen, [*Ordering], Ordering.SUBJECT),
    (stored.licence_of, [*Licence], Licence.X_BEES),
    (stored.role_of, [*Role], None),
]


@pytest.mark.parametrize(("read", "known", "otherwise"), READERS)
def test_known_words_are_read_as_they_are_and_others_as_the_nearest(
    read: object, known: list[str], otherwise: str | None
) -> None:
    assert callable(read)
    assert [read(str(word)) for word in known] == known
    for word in ("", "a newer word", "DELIVERED"):
        assert read(word) == otherwise


def test_what_is_not_there_stays_so() -> None:
    for read in (
        stored.error_of,
        stored.reason_of,
        stored.tls_reason_of,
        stored.response_defect_of,
        stored.disabled_reason_of,
    ):
        assert read(None) is None
