"""Shipments for webhooks, and sinks that may reach receivers on loopback."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from uuid import UUID

from hookline.domain.ids import new_uuid
from hookline.domain.targets import WebhookTarget
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.resolver import NameNotResolved
from hookline.security.egress.transport import GuardedTransport, PoolLimits
from hookline.sinks import Shipment
from hookline.sinks.webhook import WebhookSink

SECRET = "abcdefghijABCDEFGHIJ012345678901"
OLD_SECRET = "zyxwvutsrqZYXWVUTSRQ987654321098"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def webhook_shipment(
    url: str,
    *,
    body: bytes = b'{"id":"call-1","company":"it_w000001","type":"call:completed"}',
    secrets: tuple[str, ...] = (SECRET,),
    headers: tuple[tuple[str, str], ...] = (),
    delivery_id: UUID | None = None,
) -> Shipment:
    """Return a shipment to a URL."""
    return Shipment(
        delivery_id=delivery_id or new_uuid(),
        body=body,
        target=WebhookTarget(url, secrets, headers),
        event_type="call:completed",
        subject="call-1",
        pbx="000000000001",
        company="it_w000001",
    )


class Names:
    """A resolver that knows what it is told, and tells each answer of a name in its turn.

    `everything` answers for names that are not there.
    """

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        turns = self.answers.get(host) or self.answers.get("everything")
        if not turns:
            raise NameNotResolved(host)
        return tuple(ip_address(a) for a in (turns.pop(0) if len(turns) > 1 else turns[0]))


@asynccontextmanager
async def webhook_sink(
    *,
    within: float = 5.0,
    names: Names | None = None,
    allowed: bool = True,
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    limits: PoolLimits | None = None,
) -> AsyncIterator[WebhookSink]:
    """Run a sink that may reach loopback, unless told otherwise."""
    policy = EgressPolicy(LOOPBACK if allowed else (), resolve=names or Names(), keep=0.0)
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts no authority, and is quickly made
    transport = GuardedTransport(policy, tls=tls or nobody, proxy=proxy, limits=limits)
    sink = WebhookSink(transport, timeout=within)
    try:
        yield sink
    finally:
        await sink.aclose()
