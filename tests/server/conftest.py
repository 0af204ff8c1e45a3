import pytest

from hookline.server import connections, protocol
from support.raw_server import BRIEFLY


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bounds in time that a test can wait for."""
    for bound in ("HEAD_SECONDS", "LINGER_SECONDS", "LONGEST_LINGER", "UNREAD_SECONDS"):
        monkeypatch.setattr(protocol, bound, BRIEFLY)
    monkeypatch.setattr(connections, "CHECKED_EVERY", BRIEFLY / 4)
