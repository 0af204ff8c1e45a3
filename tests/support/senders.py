"""Tenants that send events with keys of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from factories import COMPANY, Json, an_event
from hookline.db import connections
from hookline.integrations.keys import KeyService
from hookline.integrations.revision import Transactions
from support.api_client import Keys
from support.service import Service, Services


@asynccontextmanager
async def minting(services: Services) -> AsyncIterator[Keys]:
    """Make keys in the services' database, as `hookline keys create` does, without a process."""
    engine = connections.engine(services.settings["DATABASE_URL"], pool_size=1)
    try:
        yield Keys(KeyService(Transactions(engine)))
    finally:
        await engine.dispose()


@dataclass(slots=True)
class Sender:
    """A PBX that sends events of its own, each another one."""

    pbx: str
    key: str
    company: str = COMPANY
    sent: int = 0

    def an_event(self) -> Json:
        """Return the next event."""
        self.sent += 1
        return an_event(pbx=self.pbx, company=self.company, id=f"{self.pbx}-{self.sent}")

    async def send(self, service: Service) -> httpx.Response:
        """Send one event."""
        return await service.api.post("/v1/events", self.an_event(), key=self.key)

    async def send_batch(self, service: Service, size: int) -> httpx.Response:
        """Send so many events together."""
        events = [self.an_event() for _ in range(size)]
        return await service.api.post("/v1/events/batch", {"events": events}, key=self.key)


async def a_sender(services: Services, pbx: str, company: str = COMPANY) -> Sender:
    """Return a PBX with an ingest key of its own."""
    async with minting(services) as keys:
        return Sender(pbx, await keys.ingest(pbx=pbx), company)


@asynccontextmanager
async def sending_on(sender: Sender, service: Service) -> AsyncIterator[None]:
    """Send one event after another while the block lasts; each must be accepted."""
    ended = asyncio.Event()

    async def send() -> set[int]:
        seen: set[int] = set()
        while not ended.is_set():
            seen.add((await sender.send(service)).status_code)
        return seen

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        ended.set()
        assert await task == {202}
