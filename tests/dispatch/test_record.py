import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from structlog.testing import capture_logs

from hookline.dispatch.record import Recorder
from hookline.domain.deliveries import (
    Delivered,
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Skipped,
    SkipReason,
    Verdict,
)
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.queue.port import Claimed, Settlement
from support.jobs import a_job


class Settling:
    """The one method of a queue that a recorder uses, failing as told."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.poison: UUID | None = None
        self.fenced: set[UUID] = set()
        self.batches: list[list[Settlement]] = []
        self.failed = asyncio.Event()

    async def settle(self, batch: Sequence[Settlement]) -> set[UUID]:
        self.batches.append(list(batch))
        if self.faults:
            asyncio.get_running_loop().call_soon(self.failed.set)
            raise self.faults.pop(0)
        if any(each.id == self.poison and each.sent is not None for each in batch):
            raise ValueError("this cannot be stored")
        return {each.id for each in batch} - self.fenced


class Written:
    """Keeps what was said of each settlement, and lets a test wait for all."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.said: dict[UUID, bool] = {}

    def offer(self, settlement: Settlement) -> None:
        def written(job: Claimed, _offered: Settlement, ours: bool) -> None:  # noqa: FBT001 - the recorder's own form
            self.said[job.id] = ours

        job = a_job("int001", identifier=settlement.id)
        self._recorder.offer(job, settlement, written)

    async def all(self) -> dict[UUID, bool]:
        async with asyncio.timeout(30):
            await self._recorder.idle()
        return self.said


def a_settlement(outcome: Outcome | None = None) -> Settlement:
    sent = Sent(Verdict.DELIVERED, datetime.now(UTC), 5, status_code=200)
    return Settlement(new_uuid(), 1, outcome or Delivered(), 1, sent)


def a_recorder(queue: Settling) -> Recorder:
    return Recorder(queue)  # type: ignore[arg-type]  # it settles, and a recorder does nothing else


async def test_outcomes_of_one_moment_are_one_statement() -> None:
    queue = Settling()
    written = Written(a_recorder(queue))
    settlements = [a_settlement() for _ in range(50)]
    for settlement in settlements:
        written.offer(settlement)
    assert await written.all() == {settlement.id: True for settlement in settlements}
    assert queue.batches == [settlements]


async def test_outcomes_wait_for_a_database_that_is_away() -> None:
    queue = Settling(Unavailable("away"), Unavailable("still away"))
    recorder = a_recorder(queue)
    written = Written(recorder)
    settlement = a_settlement()
    written.offer(settlement)
    await queue.failed.wait()
    assert (recorder.stuck, written.said) == (True, {})
    assert await written.all() == {settlement.id: True}
    assert recorder.stuck is False
    assert queue.batches == [[settlement]] * 3


async def test_a_lost_lease_is_told_and_logged() -> None:
    queue = Settling()
    written = Written(a_recorder(queue))
    kept, lost = a_settlement(), a_settlement()
    queue.fenced = {lost.id}
    with capture_logs() as logs:
        written.offer(kept)
        written.offer(lost)
        assert await written.all() == {kept.id: True, lost.id: False}
    [told] = [log for log in logs if log["log_level"] == "info"]
    assert (told["event"], told["delivery"]) == ("delivery.fenced", str(lost.id))


async def test_an_attempt_that_cannot_be_stored_costs_neither_its_outcome_nor_others() -> None:
    queue = Settling()
    written = Written(a_recorder(queue))
    good, bad, also_good = (a_settlement() for _ in range(3))
    queue.poison = bad.id
    with capture_logs() as logs:
        for settlement in (good, bad, also_good):
            written.offer(settlement)
        assert set((await written.all()).values()) == {True}
    assert "delivery.attempt_unrecorded" in {log["event"] for log in logs}
    [plain] = queue.batches[-2] if len(queue.batches[-2]) == 1 else queue.batches[-1]
    last = {each.id: each for batch in queue.batches for each in batch}
    assert last[bad.id].sent is None
    assert last[bad.id].outcome == Delivered()
    assert plain.id in last


async def test_what_can_never_be_written_is_given_up_and_told() -> None:
    queue = Settling(ValueError("first"), ValueError("and without its attempt"))
    written = Written(a_recorder(queue))
    settlement = a_settlement()
    with capture_logs() as logs:
        written.offer(settlement)
        assert await written.all() == {settlement.id: False}
    assert logs[-1]["event"] == "delivery.unrecorded"


async def test_a_line_tells_the_outcome_and_success_is_quiet() -> None:
    written = Written(a_recorder(Settling()))
    sent = Sent(Verdict.RETRY, datetime.now(UTC), 41, ErrorKind.STATUS, 503)
    with capture_logs() as logs:
        for outcome in (
            Delivered(),
            RetryAt(5.25),
            Failed(FailReason.GONE),
            Skipped(SkipReason.DELETED),
        ):
            written.offer(Settlement(new_uuid(), 1, outcome, 2, sent))
        await written.all()
    told = [log for log in logs if log["log_level"] == "info"]
    assert [log["outcome"] for log in told] == ["retry", "failed", "skipped"]
    assert (told[0]["retry_in"], told[0]["attempt"], told[0]["took_ms"]) == (5.25, 2, 41)
    assert (told[0]["status_code"], told[0]["error"]) == (503, ErrorKind.STATUS)
    assert told[0]["integration"] == "int001"
    assert told[1]["reason"] == "gone"
