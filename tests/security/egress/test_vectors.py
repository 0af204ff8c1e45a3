"""Every vector of ssrf_vectors.json, at save and again at send.

A vector has a `target`, its `verdict` (`refused` or `allowed`, where no network was allowed besides
the public ones), `why`, and for a name the addresses that it `resolves` to.
"""

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.errors import InvalidInput
from hookline.security.egress.errors import NameUnknown, TargetBlocked
from hookline.security.egress.policy import EgressPolicy, Vetted
from hookline.security.egress.transport import GuardedTransport
from hookline.security.egress.urls import parse_url
from sinks.contract import fails_as
from support.webhook_shipments import Names, webhook_shipment, webhook_sink

VECTORS: list[dict[str, Any]] = json.loads(
    Path(__file__).parent.with_name("ssrf_vectors.json").read_text()
)
REFUSED = [vector for vector in VECTORS if vector["verdict"] == "refused"]
ALLOWED = [vector for vector in VECTORS if vector["verdict"] == "allowed"]


def names(vector: dict[str, Any]) -> Names:
    """Return a resolver that knows the vector's addresses, whatever it is asked for."""
    return Names(everything=[vector.get("resolves", [])])


def name_of(vector: dict[str, Any]) -> str:
    return f"{vector['why']}: {vector['target'][:60]}"


def test_there_are_enough_of_both() -> None:
    assert len(REFUSED) >= 150
    assert len(ALLOWED) >= 50


async def test_a_refused_target_cannot_be_saved(subtests: pytest.Subtests) -> None:
    for vector in REFUSED:
        with subtests.test(name_of(vector)):
            with pytest.raises(InvalidInput) as refusal:
                await EgressPolicy(resolve=names(vector)).check_target(vector["target"])
            (field,) = refusal.value.fields
            assert field.path == "transmission.url"
            assert field.message.endswith(".")
            assert not any(address in field.message for address in vector.get("resolves", []))


async def test_a_refused_target_is_blocked_when_sent_to(subtests: pytest.Subtests) -> None:
    for vector in REFUSED:
        with subtests.test(name_of(vector)):
            async with webhook_sink(names=names(vector), allowed=False) as sink:
                shipment = webhook_shipment(vector["target"])
                await fails_as(sink, shipment, Verdict.BLOCKED, ErrorKind.BLOCKED)


async def test_the_transport_alone_connects_to_no_refused_target(subtests: pytest.Subtests) -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for vector in REFUSED:
        with subtests.test(name_of(vector)):
            try:
                url = httpx.URL(vector["target"])
            except (httpx.InvalidURL, UnicodeError):
                continue  # another parser than ours has no such URL
            transport = GuardedTransport(EgressPolicy(resolve=names(vector)), tls=nobody)
            with pytest.raises((TargetBlocked, NameUnknown)):  # as if ours let it pass
                await transport.handle_async_request(httpx.Request("POST", url))
            await transport.aclose()


async def test_an_allowed_target_can_be_saved_and_sent_to(subtests: pytest.Subtests) -> None:
    for vector in ALLOWED:
        with subtests.test(name_of(vector)):
            resolver = names(vector)
            policy = EgressPolicy(resolve=resolver)
            endpoint = await policy.check_target(vector["target"])
            assert isinstance(await policy.vet(endpoint.origin), Vetted)
            assert all(host == endpoint.origin.host for host in resolver.asked)
            assert parse_url(endpoint.url).origin == endpoint.origin
            url = httpx.URL(endpoint.url)
            assert (url.host, url.port or 443) == (endpoint.origin.host, endpoint.origin.port) or (
                not url.host.isascii() and url.raw_host.decode() == endpoint.origin.host
            )
