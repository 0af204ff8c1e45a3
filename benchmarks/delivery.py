"""One delivery as the compared programs make it: the same bytes, the same signatures, httpx.

`BENCH_DELIVERY` holds the receiver's address, the secret, and the event around its number.
"""

import json
import os
from dataclasses import dataclass, field
from time import time
from uuid import uuid4

import httpx

from hookline.security.signatures import Signer, x_signature

IN_FLIGHT = 64
TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Delivery:
    url: str
    secret: str = field(repr=False)
    head: str
    tail: str

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


def client() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    return httpx.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False)
