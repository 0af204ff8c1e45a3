"""Postgres goes away and comes back: nothing is accepted meanwhile, and nothing is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from factories import an_event
from hookline.db.embedded import EmbeddedPostgres
from support.held_requests import HeldRequests
from support.receivers import receiving
from support.service import PATIENCE, Service, Services, eventually, services


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A Postgres of this test's own, to be stopped and started."""
    opened = EmbeddedPostgres(folder / "data", system_dir=folder / "system_dir")
    yield opened
    await opened.stop()


@pytest.fixture
async def apart(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Services]:
    """Services on that Postgres, which they reach by its address alone."""
    async with services(tmp_path, DATABASE_URL=await server.start()) as opened:
        code, _, err = await opened.terminal.run("migrate", **opened.settings)
        assert code == 0, err
        yield opened


async def test_the_api_says_come_again_and_recovers_by_itself(
    apart: Services, server: EmbeddedPostgres
) -> None:
    holding = HeldRequests()
    async with receiving(holding) as receiver:
        service = await apart.start(DELIVERY_TIMEOUT="60")
        integration = await service.an_integration(receiver)
        sent = await service.send(an_event())
        await receiver.until_asked(1, within=PATIENCE)

        await server.stop()
        holding.release()  # it is delivered, which cannot be recorded yet
        for answer in [
            await service.api.post("/v1/events", an_event(id="refused")),
            await service.api.post("/v1/events/batch", {"events": [an_event(id="refused")]}),
            await service.api.get("/v1/integrations"),
            await service.api.get(f"/v1/events/{sent['eventId']}"),
            await service.api.patch(f"/v1/integrations/{integration['id']}", {"name": "x"}),
        ]:
            assert_come_again(answer)
        assert (await service.api.get("/livez")).status_code == 200
        assert (await service.api.get("/readyz")).status_code == 503
        assert "\nhookline_database_up 0.0\n" in (await service.api.get("/metrics")).text

        await server.start()
        await eventually(lambda: ready(service), bool)
        later = await service.send(an_event(id="later"))
        for receipt in (sent, later):
            delivery = await service.settled_delivery(receipt["eventId"])
            assert (delivery["status"], len(delivery["attempts"])) == ("delivered", 1)
        assert len(receiver.requests) == 2
        await service.stop()


def assert_come_again(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


async def ready(service: Service) -> bool:
    return (await service.api.get("/readyz")).status_code == 200
