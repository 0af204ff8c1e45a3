"""One delivery as the compared programs make it: the same bytes, the same signatures, httpx.

`BENCH_DELIVERY` holds the receiver's address, the secret, the event around its number and, where
the receiver speaks TLS, the file with the authority to trust.
"""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from time import monotonic, monotonic_ns, time
from uuid import uuid4

import httpx

from hookline.security.signatures import Signer, x_signature

IN_FLIGHT = 64
CALLERS = 32  # that enqueue events at a time, as Hookline's are sent
TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Delivery:
    url: str
    secret: str = field(repr=False)
    head: str
    tail: str
    authority: str | None = None

    @classmethod
    def asked_for(cls) -> "Delivery":
        return cls(**json.loads(os.environ["BENCH_DELIVERY"]))

    def job(self, number: int) -> dict[str, str]:
        return {"id": str(uuid4()), "body": f"{self.head}{number:012}{self.tail}"}

    async def send(self, client: httpx.AsyncClient, message_id: str, text: str) -> None:
        body, timestamp = text.encode(), int(time())
        answer = await client.post(
            self.url,
            content=body,
            headers={
                "content-type": "application/json",
                "x-signature": x_signature(self.secret, body),
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": Signer([self.secret]).standard_webhooks(
                    message_id, timestamp, body
                ),
            },
        )
        answer.raise_for_status()

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
        verify = ssl.create_default_context(cafile=self.authority)
        return httpx.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False, verify=verify)


async def on_schedule(
    rate: float, seconds: float, enqueue: Callable[[int], Coroutine[None, None, object]]
) -> None:
    """Enqueue job after job, each when it is due; print when the first one was (nanoseconds)."""
    print(monotonic_ns(), flush=True)
    began = monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
            group.create_task(enqueue(number))


async def side_by_side(
    events: int, each: int, enqueue: Callable[[range], Coroutine[None, None, object]]
) -> None:
    """Have callers enqueue the jobs of event after event, `each` in one call."""
    numbers = iter(range(events))

    async def call() -> None:
        for number in numbers:
            await enqueue(range(number * each, (number + 1) * each))

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(call())


async def command(
    fill: Callable[[int], Awaitable[None]],
    feed: Callable[[float, float], Awaitable[None]],
    fan: Callable[[int, int], Awaitable[None]],
    work: Callable[[], Awaitable[None]],
) -> None:
    """Do what is asked: `fill COUNT`, `feed RATE SECONDS`, `fan EVENTS EACH` or `work`."""
    match sys.argv[1:]:
        case ["fill", count]:
            await fill(int(count))
        case ["feed", rate, seconds]:
            await feed(float(rate), float(seconds))
        case ["fan", events, each]:
            await fan(int(events), int(each))
        case _:
            await work()
