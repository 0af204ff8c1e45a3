"""`/metrics` of several processes on one port: one answer, whichever of them gives it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from factories import an_event
from hookline.domain.ids import new_uuid
from support.databases import Databases
from support.receivers import Receiver, receiving
from support.scraping import Scraped, parsed
from support.service import Service, Services, eventually, services

EVENTS = 24
SCRAPES = 12  # each on a connection of its own, so that both workers answer some of them


@pytest.fixture
async def together(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


async def scrape(service: Service) -> Scraped:
    answer = await service.api.client.get("/metrics", headers={"connection": "close"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)


async def workers_of(service: Service) -> dict[str, float]:
    """Return when each worker began; nobody where the one that was killed was called."""
    try:
        seen = await scrape(service)
    except httpx.TransportError:
        return {}
    return seen.labelled("process_start_time_seconds", "worker")


async def send(service: Service) -> None:
    event = an_event(id=str(new_uuid()))
    answer = await service.api.post("/v1/events", event, headers={"connection": "close"})
    assert answer.status_code == 202


def counted(seen: Scraped) -> tuple[float, float]:
    """Return how many events were accepted, and how many attempts delivered, by all workers."""
    delivered = {"transmission": "WEBHOOK", "outcome": "delivered"}
    return (
        seen.value("hookline_events_total", result="accepted"),
        seen.value("hookline_attempts_total", **delivered),
    )


def kill_one(service: Service) -> None:
    psutil.Process(service.command.pid).children()[0].send_signal(signal.SIGKILL)


async def test_several_processes_answer_as_one_also_for_one_that_died(
    together: Services,
) -> None:
    service = await together.start("--processes", "2")
    async with receiving() as receiver:
        await some_traffic(service, receiver)
    whole = (float(EVENTS), float(EVENTS))
    seen = await eventually(lambda: scrape(service), lambda seen: counted(seen) == whole)
    assert {counted(await scrape(service)) for _ in range(SCRAPES)} == {whole}
    assert seen.value("hookline_processes") == seen.value("hookline_engines_running") == 2
    assert seen.value("hookline_integrations", state="healthy") == 1
    assert seen.labelled("process_resident_memory_bytes", "worker").keys() == {"0", "1"}

    started = await workers_of(service)
    kill_one(service)
    await eventually(
        lambda: workers_of(service), lambda seen: seen.keys() == {"0", "1"} and seen != started
    )
    assert counted(await scrape(service)) == whole, "what it counted outlives it"
    await send(service)
    await eventually(lambda: scrape(service), lambda seen: counted(seen)[0] == EVENTS + 1)
    await service.stop()


async def some_traffic(service: Service, receiver: Receiver) -> None:
    await service.an_integration(receiver)
    await asyncio.gather(*(send(service) for _ in range(EVENTS)))
    await receiver.until_asked(EVENTS, within=30)
