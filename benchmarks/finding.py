"""How long the first pages of lists take over many events: each filter alone, and combined.

    .venv/bin/python benchmarks/finding.py [--events 5000000] [--days 30]

Fills a Postgres of its own by COPY, with one delivery and one attempt of each event: one tenant has
two fifths of them, one has a hundred, a type and a status are rare. Prints the median milliseconds
of a page of 50, warm, as an admin, the large tenant and the small one see it.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import UUID

import asyncpg

from hookline import logs
from hookline.db import connections
from hookline.db.embedded import EmbeddedPostgres
from hookline.db.migrate import migrate_at
from hookline.db.partitions import of_days
from hookline.domain.access import Principal, Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import lowest_uuid, new_uuid
from hookline.history.ranges import Period
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries, WantedEvents

_TENANTS = 1_000
_TYPES = [f"type-{number}" for number in range(20)]
_RARE = 200_000  # one in so many events has the rare type
_FAILED, _SKIPPED = 1_000, 100_000  # one in so many deliveries
_AT_ONCE = 100_000  # rows of one COPY
_ROUNDS = 7
_GOAL = 50  # milliseconds
_EVENTS = ("id", "pbx", "company", "type", "subject", "time", "payload", "splice")
_DELIVERIES = (
    "id", "event_id", "integration_id", "type", "status", "reason", "attempts", "finished_at",
)  # fmt: skip
_ATTEMPTS = ("delivery_id", "number", "started_at", "duration_ms", "outcome", "status_code")
Row = tuple[object, ...]


def owner(number: int, total: int) -> int:
    """Return whose an event is: 0 has two fifths, 1 a hundred, the others the rest."""
    if number % 5 in {0, 1}:
        return 0
    if (number - 2) % max(1, total // 100) == 0:
        return 1
    return 2 + number % (_TENANTS - 2)


def rows(total: int, days: int) -> Iterator[tuple[Row, Row, Row]]:
    """Make events with their deliveries and attempts, oldest first."""
    now = datetime.now(UTC)
    dice = random.Random(1)  # noqa: S311 - the same rows in each run
    for number in range(total):
        moment = now - timedelta(days=days - 1) * (1 - number / total)
        low = lowest_uuid(moment).int
        event = UUID(int=low | dice.getrandbits(61))
        delivery = UUID(int=(low + (1 << 80)) | dice.getrandbits(61))
        tenant = owner(number, total)
        kind = "type-rare" if not (number + 1) % _RARE else _TYPES[dice.randrange(20)]
        status = "failed" if not (number + 2) % _FAILED else "delivered"
        status = "skipped" if not (number + 3) % _SKIPPED else status
        yield (
            (
                event, f"pbx-{tenant}", f"company-{tenant}", kind, f"call-{number // 5}", number,
                b'{"id":"1"}', 9,
            ),
            (delivery, event, f"i{tenant:05}", kind, status, None, 1, moment),
            (delivery, 1, moment, 20, "delivered", 200),
        )  # fmt: skip


async def fill(connection: asyncpg.Connection, total: int, days: int) -> None:
    today = datetime.now(UTC).date()
    for partition in of_days(today - timedelta(days=day) for day in range(-1, days + 1)):
        await connection.execute(partition.create())
    await connection.executemany(
        "insert into integrations (id, sequence, pbx, company, company_vouched, name, enabled,"
        " type, url, events, max_in_flight, version, revision)"
        " values ($1, $2, $3, $4, true, 'one', true, 'WEBHOOK', '', '{}', 16, 1, 1)",
        [(f"i{n:05}", new_uuid(), f"pbx-{n}", f"company-{n}") for n in range(_TENANTS)],
    )
    made = rows(total, days)
    while some := list(islice(made, _AT_ONCE)):
        for table, columns, place in (
            ("events", _EVENTS, 0),
            ("deliveries", _DELIVERIES, 1),
            ("attempts", _ATTEMPTS, 2),
        ):
            records = [each[place] for each in some]
            await connection.copy_records_to_table(table, records=records, columns=columns)
    await connection.execute("vacuum analyze")


def wanted_events() -> Iterator[tuple[str, WantedEvents]]:
    recent = Period(since=datetime.now(UTC) - timedelta(hours=6))
    for type_ in (None, "type-3", "type-rare"):
        for pbx in (None, "pbx-0", "pbx-1"):
            for accepted in (Period(), recent):
                wanted = WantedEvents(pbx=pbx, type=type_, accepted=accepted)
                yield f"events pbx={pbx} type={type_} since={accepted.since is not None}", wanted
    yield "events company=company-1", WantedEvents(company="company-1")
    yield "events company=company-1 type-rare", WantedEvents(company="company-1", type="type-rare")
    yield "events subject", WantedEvents(subject="call-1000")
    yield "events subject type", WantedEvents(subject="call-1000", type="type-3")


def wanted_deliveries() -> Iterator[tuple[str, WantedDeliveries]]:
    recent = Period(since=datetime.now(UTC) - timedelta(hours=6))
    for one in (None, "i00000", "i00001"):
        for type_ in (None, "type-3", "type-rare"):
            for status in (None, "delivered", "failed", "skipped", "pending"):
                for created in (Period(), recent):
                    statuses = frozenset({DeliveryStatus(status)} if status else ())
                    name = f"deliveries integration={one} type={type_} status={status}"
                    wanted = WantedDeliveries(one, statuses, type_, created)
                    yield f"{name} since={created.since is not None}", wanted


async def median_ms(page: Callable[[], Awaitable[object]]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await page()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[2:])


async def measure(dsn: str) -> list[tuple[float, str]]:
    engine = connections.engine(dsn)
    history = History(engine)
    who = {
        "admin": Principal(new_uuid(), Role.ADMIN, "admin"),
        "large tenant": Principal(new_uuid(), Role.MANAGER, "large", pbx="pbx-0"),
        "small tenant": Principal(new_uuid(), Role.MANAGER, "small", pbx="pbx-1"),
        "small company": Principal(new_uuid(), Role.MANAGER, "small", company="company-1"),
    }
    found = []
    for label, caller in who.items():
        for name, events in wanted_events():
            work = lambda c=caller, w=events: history.events(c, w, before=None, limit=51)  # noqa: E731
            found.append((await median_ms(work), f"{label}: {name}"))
        for name, deliveries in wanted_deliveries():
            work = lambda c=caller, w=deliveries: history.deliveries(c, w, before=None, limit=51)  # noqa: E731
            found.append((await median_ms(work), f"{label}: {name}"))
    await engine.dispose()
    return sorted(found, reverse=True)


async def main(total: int, days: int) -> None:
    logs.configure(level="WARNING")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - Postgres has a user of its own here
        home = Path(folder)
        postgres = EmbeddedPostgres(
            home / "data", shelter=home / "shelter", settings={"fsync": "off"}
        )
        dsn = await postgres.start()
        try:
            await migrate_at(dsn)
            connection = await asyncpg.connect(dsn)
            began = time.perf_counter()
            await fill(connection, total, days)
            print(
                f"{total:,} events over {days} days, filled in {time.perf_counter() - began:.0f} s"
            )
            await connection.close()
            found = await measure(dsn)
        finally:
            await postgres.stop()
    over = sum(taken > _GOAL for taken, _ in found)
    print(f"{len(found)} lists, {over} above {_GOAL} ms; the slowest:")
    for taken, name in found[:25]:
        print(f"{taken:8.1f} ms  {name}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=5_000_000)
    options.add_argument("--days", type=int, default=30)
    asked = options.parse_args()
    asyncio.run(main(asked.events, asked.days))
