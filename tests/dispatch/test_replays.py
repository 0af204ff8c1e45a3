"""How much of a replay may wait in front of an integration's live events."""

from hookline.db.models import Job
from hookline.dispatch.replays import (
    LEAST_WAITING,
    MOST_BESIDE_EVENTS,
    MOST_WAITING,
    WAITS,
    room_for,
)


def a_replay(most_waiting: int = 50) -> Job:
    return Job(worked_on=1, most_waiting=most_waiting, error=None)


def test_more_may_wait_where_everything_has_gone_up_to_a_bound() -> None:
    job = a_replay()
    assert [room_for(job, 0) for _ in range(6)] == [100, 200, 400, 800, MOST_WAITING, MOST_WAITING]


def test_what_has_gone_is_filled_up_by_a_quarter_at_the_least() -> None:
    job = a_replay(100)
    assert [room_for(job, waiting) for waiting in (100, 80, 75, 30)] == [0, 0, 25, 70]


def test_less_may_wait_where_a_second_look_finds_too_much() -> None:
    job = a_replay(100)
    assert (room_for(job, 90), job.most_waiting) == (0, 100)
    job.error = WAITS
    waits = []
    for _ in range(6):
        assert room_for(job, 90) == 0
        waits.append(job.most_waiting)
    assert waits == [50, 25, 12, 6, LEAST_WAITING, LEAST_WAITING]
    assert room_for(job, 3) == 1


def test_it_begins_with_what_it_has_whatever_waits() -> None:
    job = Job(worked_on=0, most_waiting=50, error=None)
    assert (room_for(job, 0), job.most_waiting) == (50, 50)


def test_while_events_arrive_only_a_few_may_wait_and_more_again_afterwards() -> None:
    job = a_replay(400)
    assert room_for(job, 0, MOST_BESIDE_EVENTS) == MOST_BESIDE_EVENTS
    assert room_for(job, MOST_BESIDE_EVENTS, MOST_BESIDE_EVENTS) == 0
    assert room_for(job, MOST_BESIDE_EVENTS) == 800 - MOST_BESIDE_EVENTS
