import asyncio

from structlog.testing import capture_logs

from hookline.dispatch.announce import Announcer
from hookline.errors import Unavailable


class Notifications:
    """Counts what is told, failing as told itself."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.count = 0
        self.told = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        self.told.set()
        if self.faults:
            raise self.faults.pop(0)


async def test_many_announcements_of_one_moment_are_one_notification() -> None:
    notifications = Notifications()
    announcer = Announcer(notifications)
    for _ in range(100):
        announcer.announce()
    await announcer.aclose()
    assert notifications.count == 1


async def test_what_is_announced_during_a_notification_is_told_as_well() -> None:
    notifications = Notifications()
    announcer = Announcer(notifications)
    announcer.announce()
    await notifications.told.wait()
    announcer.announce()
    await announcer.aclose()
    assert notifications.count == 2


async def test_a_notification_that_fails_is_logged_and_ends_nothing() -> None:
    notifications = Notifications(Unavailable("away"), LookupError("a fault of ours"))
    announcer = Announcer(notifications)
    with capture_logs() as logs:
        for _ in range(3):
            announcer.announce()
            await announcer.aclose()
    assert notifications.count == 3
    assert [log["event"] for log in logs] == ["announcer.database_away", "announcer.failed"]


async def test_closing_what_never_announced_is_nothing() -> None:
    notifications = Notifications()
    await Announcer(notifications).aclose()
    assert notifications.count == 0
