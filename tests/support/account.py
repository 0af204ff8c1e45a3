"""The account at the end of a fault: every event that was sent, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from factories import Json
from support.ledger import Ledger
from support.service import Service
from support.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Account:
    """Numbers of events up to `given_up`, of deliveries from then on."""

    sent: int
    accepted: int
    refused: int  # answers 503: come again
    unanswered: int  # requests that ended with their connection
    given_up: int  # events that no try brought in
    delivered: int
    duplicated: int  # copies beyond the first
    unrecorded: int  # copies of which no attempt is on record
    failed: int
    lost: int  # accepted, and neither received nor on record as failed
    torn: int  # whose copies were not the same bytes
    at_once: int  # whose copies were under way together

    def __str__(self) -> str:
        return ", ".join(f"{each.name} {getattr(self, each.name):,}" for each in fields(self))


Close = Callable[[Account], Account]
"""Sees that nothing is lost or torn, and prints the account at the run's end."""


async def the_account(service: Service, traffic: Traffic, *ledgers: Ledger) -> Account:
    """Wait until nothing is pending, then compare what was accepted, recorded and received."""
    recorded = await service.all_settled()
    received = {name: n for ledger in ledgers for name, n in ledger.copies.items()}
    by_event: dict[str, list[Json]] = {}
    for delivery in recorded:
        by_event.setdefault(delivery["eventId"], []).append(delivery)
    attempts = sum(len(delivery["attempts"]) for delivery in recorded)
    copies = sum(received.values())
    return Account(
        sent=traffic.sent,
        accepted=len(traffic.accepted),
        refused=traffic.answers[503],
        unanswered=traffic.unanswered,
        given_up=len(traffic.given_up),
        delivered=sum(delivery["id"] in received for delivery in recorded),
        duplicated=copies - len(received),
        unrecorded=max(0, copies - attempts),
        failed=sum(delivery["status"] == "failed" for delivery in recorded),
        lost=_lost(traffic, by_event, received),
        torn=sum(len(ledger.torn) for ledger in ledgers),
        at_once=sum(len(ledger.at_once) for ledger in ledgers),
    )


def assert_each_delivered_once(account: Account, traffic: Traffic) -> None:
    """Every event was accepted in the end, and every accepted one delivered, none of them twice."""
    assert traffic.given_up == {}
    assert account.accepted == account.sent == account.delivered
    assert (account.duplicated, account.failed) == (0, 0), account


def _lost(traffic: Traffic, by_event: dict[str, list[Json]], received: dict[str, int]) -> int:
    """Count the deliveries that were promised and are nowhere."""
    lost = 0
    for event_id, promised in traffic.accepted.values():
        known = by_event.get(event_id, [])
        reached = [each for each in known if each["id"] in received or each["status"] == "failed"]
        lost += max(0, max(promised, 1) - len(reached))
    return lost
