"""`hookline serve` as operators run it, and its REST API as its users call it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_exponential

from factories import Json, a_webhook
from hookline.domain.access import new_key
from hookline.security.secrets import generate_key
from support.api_client import Api
from support.ledger import Ledger
from support.receivers import Receiver
from support.terminal import Command, Terminal

PATIENCE = 60.0  # seconds for what takes milliseconds on an idle machine
_ANSWERED_WITHIN = 120.0  # seconds; the service's own bounds are far below
_LOOKS = wait_exponential(multiplier=0.02, exp_base=1.5, max=0.1)  # s; a look is work for all
_PAGE = 200

Answer = TypeVar("Answer")


async def eventually(
    ask: Callable[[], Awaitable[Answer]],
    claim: Callable[[Answer], bool],
    *,
    within: float = PATIENCE,
) -> Answer:
    """Return the first answer that the claim is true of; ask again until there is one."""
    policy = AsyncRetrying(
        stop=stop_after_delay(within),
        wait=_LOOKS,
        retry=retry_if_result(lambda answer: not claim(answer)),
    )

    async def answer() -> Answer:  # tenacity awaits only what is a coroutine function itself
        return await ask()

    return await policy(answer)


@dataclass(slots=True)
class Service:
    """A running service, and its API with the admin key."""

    url: str
    api: Api
    command: Command

    async def kill(self) -> None:
        """End the process as the kernel would, without a word."""
        assert await self.command.stop(signal.SIGKILL) == -signal.SIGKILL

    async def stop(self) -> None:
        """End it as an operator does, and see that it ends well."""
        assert await self.command.stop(signal.SIGTERM) == 0

    async def refuses_connections(self) -> bool:
        """Tell whether nobody listens there any more."""
        try:
            await self.api.client.get("/livez", headers={"connection": "close"})
        except httpx.TransportError:
            return True
        return False

    async def an_integration(self, receiver: Receiver | Ledger, **changes: object) -> Json:
        """Create a webhook integration for a receiver on this machine."""
        url = f"http://127.0.0.1:{receiver.port}/hook"
        answer = await self.api.post("/v1/integrations", a_webhook(url=url, **changes))
        assert answer.status_code == 201, answer.text
        return _object(answer)

    async def send(self, event: Json) -> Json:
        """Send one event and return its receipt."""
        answer = await self.api.post("/v1/events", event)
        assert answer.status_code == 202, answer.text
        return _object(answer)

    async def send_batch(self, events: list[Json]) -> list[Json]:
        """Send events together and return each one's result."""
        answer = await self.api.post("/v1/events/batch", {"events": events})
        assert answer.status_code == 202, answer.text
        results: list[Json] = answer.json()["results"]
        return results

    async def read(self, path: str) -> Json:
        answer = await self.api.get(path)
        assert answer.status_code == 200, answer.text
        return _object(answer)

    async def outcomes(self, event_id: str) -> dict[str, Json]:
        """Return what became of an event, by integration."""
        event = await self.read(f"/v1/events/{event_id}")
        return {outcome["integrationId"]: outcome for outcome in event["outcomes"]}

    async def settled(self, event_id: str) -> dict[str, Json]:
        """Wait until nothing of an event is pending any more; return its outcomes."""
        return await eventually(
            lambda: self.outcomes(event_id),
            lambda outcomes: all(each["status"] != "pending" for each in outcomes.values()),
        )

    async def deliveries(self, filters: str = "") -> list[Json]:
        """Return all deliveries that pass the list's filters, newest first, page by page."""
        found: list[Json] = []
        cursor = ""
        while True:
            page = await self.read(f"/v1/deliveries?limit={_PAGE}{filters}{cursor}")
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    async def all_settled(self) -> list[Json]:
        """Wait until nothing is pending any more; return all deliveries, newest first."""
        await eventually(
            lambda: self.read("/v1/deliveries?status=pending&limit=1"),
            lambda page: not page["items"],
        )
        return await self.deliveries()

    async def delivery(self, event_id: str) -> Json:
        """Return the delivery of an event that one integration gets."""
        [outcome] = (await self.outcomes(event_id)).values()
        return await self.read(f"/v1/deliveries/{outcome['deliveryId']}")

    async def settled_delivery(self, event_id: str) -> Json:
        """Wait until the only delivery of an event has ended and return it."""
        await self.settled(event_id)
        return await self.delivery(event_id)


class Services:
    """Starts services over one data directory, or one database, and ends what is left of them."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.terminal = Terminal(directory)
        self.admin_key = new_key()
        self.settings = {
            "EGRESS_ALLOWED_NETWORKS": "127.0.0.1/32",
            "ADMIN_KEY": self.admin_key,
            "ENCRYPTION_KEYS": generate_key(),
            "POLL_INTERVAL": "0.3",
            "LOG_LEVEL": "WARNING",
            **settings,
        }
        self._clients: list[httpx.AsyncClient] = []

    async def start(self, *arguments: str, **settings: str) -> Service:
        """Start one and wait until it answers."""
        command = await self.terminal.start("serve", *arguments, **self.settings | settings)
        url = str((await command.says(r"API +(http://127\.0\.0\.1:\d+)/v1"))[1])
        client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=_ANSWERED_WITHIN)
        self._clients.append(client)
        return Service(url, Api(client, self.admin_key), command)

    async def a_worker(self, **settings: str) -> Command:
        """Start an engine without an API and wait until it runs."""
        command = await self.terminal.start("worker", **self.settings | settings)
        await command.says("delivery engine is running")
        return command

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        await self.terminal.close()


@asynccontextmanager
async def services(directory: Path, **settings: str) -> AsyncIterator[Services]:
    """Give a starter of services for the time of the block."""
    opened = Services(directory, **settings)
    try:
        yield opened
    finally:
        await opened.close()


async def gathered(awaitables: list[Awaitable[Answer]], *, at_once: int) -> list[Answer]:
    """Await many, so many at a time, as a busy sender does."""
    room = asyncio.Semaphore(at_once)

    async def one(awaitable: Awaitable[Answer]) -> Answer:
        async with room:
            return await awaitable

    return await asyncio.gather(*map(one, awaitables))


def _object(answer: httpx.Response) -> Json:
    document: Any = answer.json()
    assert isinstance(document, dict)
    return document
