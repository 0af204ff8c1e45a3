from hookline.db.listener import PendingNotifier
from hookline.errors import Unavailable


class Notified:
    """Keeps what was told; the database is away as often as a test says."""

    def __init__(self, away: int = 0) -> None:
        self.told: list[str] = []
        self.away = away

    async def __call__(self, lanes: str) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("The database is away.")
        self.told.append(lanes)


async def test_what_is_pending_together_is_one_notification() -> None:
    notified = Notified()
    notifier = PendingNotifier(notified)
    for lanes in ({"aaaaaa"}, {"bbbbbb", "aaaaaa"}):
        notifier.notify(lanes)
    await notifier.aclose()
    assert [sorted(each.split(",")) for each in notified.told] == [["aaaaaa", "bbbbbb"]]


async def test_work_in_lanes_that_are_not_known_or_too_many_is_notified_to_all() -> None:
    for lanes in ((), [f"{number:06}" for number in range(2_000)]):
        notified = Notified()
        notifier = PendingNotifier(notified)
        notifier.notify({"aaaaaa"})
        notifier.notify(lanes)
        await notifier.aclose()
        assert notified.told == [""]
