"""Stand-ins: a clock, and what the management routes only pass on to."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from hookline.api.dependencies import Check
from hookline.dispatch.manual import Tested
from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.domain.ids import new_uuid
from hookline.history.stream_readers import StreamEnd
from hookline.queue.port import Claimed


class FakeClock:
    """A monotonic clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Notified:
    """Counts notifications, for a process without an engine."""

    def __init__(self) -> None:
        self.times = 0

    def notify(self, _lanes: Collection[str] = ()) -> None:
        self.times += 1

    def started(self, jobs: Sequence[Claimed], _leased_at: float) -> None:
        assert not jobs


class FakeTester:
    """Remembers what was to be tested, and answers as a failing receiver would."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def test(self, integration_id: str, event_type: str) -> Tested:
        self.asked.append((integration_id, event_type))
        sent = Sent(
            verdict=Verdict.RETRY,
            started_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
            duration_ms=41,
            error=ErrorKind.STATUS,
            status_code=503,
            response=b"down \xff",
        )
        return Tested(new_uuid(), event_type, b'{"id":"1"}', sent)


class FakeReadiness:
    """As well as a test says."""

    def __init__(self) -> None:
        self.well = True

    async def checks(self) -> Sequence[Check]:
        return [Check("database", ok=self.well, detail="answers" if self.well else "away")]


class NoStreams:
    """Nobody reads along."""

    def __init__(self) -> None:
        self.most = 10
        self.sent = 0
        self.ended: dict[StreamEnd, int] = dict.fromkeys(StreamEnd, 0)

    @property
    def open_now(self) -> int:
        return 0
