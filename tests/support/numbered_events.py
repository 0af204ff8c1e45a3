"""Numbered events, and the order in which a receiver got them."""

import json
from collections import defaultdict
from itertools import count

from factories import Json, an_event
from support.postgres_clients import connection
from support.receivers import Receiver
from support.service import PATIENCE, Service, Services

BATCH = 100
SINGLES = 20
SUBJECTS = 5
FAILED_AT_FIRST = (
    "select event_id from attempts join deliveries on deliveries.id = delivery_id"
    " where number = 1 and outcome <> 'delivered'"
)


class Sender:
    """Sends numbered events, one request after another; equal numbers are equal events."""

    def __init__(self, *services: Service) -> None:
        self.services = services
        self.accepted: list[str] = []  # the events' ids, in the order in which they were accepted
        self._turn = count()
        self._number = count()

    async def batch(self, size: int = BATCH) -> None:
        results = await self._next().send_batch([self._event() for _ in range(size)])
        self.accepted += [result["eventId"] for result in results]

    async def singles(self, number: int = SINGLES) -> None:
        for _ in range(number):
            self.accepted.append((await self._next().send(self._event()))["eventId"])

    async def mixed(self) -> None:
        await self.batch()
        await self.singles()
        await self.batch()
        await self.singles()

    def _next(self) -> Service:
        return self.services[next(self._turn) % len(self.services)]

    def _event(self) -> Json:
        number = next(self._number)
        return an_event(id=f"call-{number % SUBJECTS}", data={"number": number})


def numbers(receiver: Receiver) -> list[int]:
    """Return the events' numbers in the order in which their first copies came."""
    return list(dict.fromkeys(number_of(request.body) for request in receiver.requests))


def number_of(body: bytes | str) -> int:
    number: int = json.loads(body)["data"]["number"]
    return number


def by_subject(order: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for number in order:
        found[number % SUBJECTS].append(number)
    return found


async def until_all_came(receiver: Receiver, sender: Sender) -> None:
    total = len(sender.accepted)
    await receiver.until(
        lambda r: len({request.headers["webhook-id"] for request in r.requests}) >= total,
        within=PATIENCE,
    )


async def came_in_order(receiver: Receiver, sender: Sender, together: Services) -> None:
    """See that all came in the order of acceptance, but for those whose first attempt failed.

    None does, but on a machine so busy that it takes longer than DELIVERY_TIMEOUT.
    """
    async with connection(together.settings["DATABASE_URL"]) as client:
        rows = await client.fetch(FAILED_AT_FIRST)
    failed = {sender.accepted.index(str(row["event_id"])) for row in rows}
    assert len(failed) < len(sender.accepted) / 10
    came = numbers(receiver)
    assert sorted(came) == list(range(len(sender.accepted)))
    at_first = [number for number in came if number not in failed]
    assert at_first == sorted(at_first)
