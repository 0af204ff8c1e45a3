import asyncio
import io
from ipaddress import ip_address, ip_network

import pytest

from hookline import logs
from hookline.errors import InvalidInput
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import Blocked, EgressPolicy, Unresolved, Vetted
from hookline.security.egress.urls import Origin
from support.webhook_shipments import Names

TEN = (ip_network("10.0.0.0/8"),)


def origin(host: str, scheme: str = "https", port: int = 443) -> Origin:
    return Origin(scheme, host, port)


async def test_a_name_is_vetted_with_every_address_it_has() -> None:
    policy = EgressPolicy(resolve=Names(crm_example_com=[["8.8.8.8", "2606:4700::1111"]]))
    verdict = await policy.vet(origin("crm.example.com"))
    assert verdict == Vetted((ip_address("8.8.8.8"), ip_address("2606:4700::1111")))


async def test_one_bad_address_among_good_ones_blocks_the_name() -> None:
    policy = EgressPolicy(resolve=Names(crm_example_com=[["8.8.8.8", "10.0.0.1"]]))
    assert await policy.vet(origin("crm.example.com")) == Blocked("10.0.0.1: private")


async def test_a_name_without_an_address_is_unresolved_and_may_be_saved() -> None:
    policy = EgressPolicy(resolve=Names())
    assert isinstance(await policy.vet(origin("crm.example.com")), Unresolved)
    await policy.check_target("https://crm.example.com/hook")


async def test_a_name_whose_servers_do_not_answer_keeps_nobody_waiting_at_save(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(_host: str) -> tuple[Address, ...]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("hookline.security.egress.policy._PATIENCE_AT_SAVE", 0.05)
    await EgressPolicy(resolve=never).check_target("https://crm.example.com/hook")


async def test_a_literal_address_is_never_looked_up() -> None:
    names = Names(everything=[["8.8.8.8"]])
    policy = EgressPolicy(resolve=names)
    for host in (
        "127.0.0.1",
        "8.8.8.8",
        "::1",
        "2606:4700::1111",
        "0x7f.1",
        "localhost",
        "2130706433",
    ):
        await policy.vet(origin(host))
    assert names.asked == []


async def test_an_allowed_network_may_be_reached_over_https_and_http() -> None:
    policy = EgressPolicy(TEN, resolve=Names(crm_example_com=[["10.0.0.1"]]))
    for url in ("https://10.0.0.1/", "http://10.0.0.1/", "http://crm.example.com:8080/"):
        await policy.check_target(url)
    assert isinstance(await policy.vet(origin("crm.example.com", "http")), Vetted)


@pytest.mark.parametrize("url", ["http://8.8.8.8/", "http://crm.example.com/", "http://[::1]/"])
async def test_plain_http_beyond_the_allowed_networks_is_refused(url: str) -> None:
    policy = EgressPolicy(TEN, resolve=Names(crm_example_com=[["8.8.8.8"]]))
    with pytest.raises(InvalidInput, match="must begin with https"):
        await policy.check_target(url)


async def test_a_mix_of_public_and_allowed_addresses_is_no_reason_for_plain_http() -> None:
    policy = EgressPolicy(TEN, resolve=Names(crm_example_com=[["10.0.0.1", "8.8.8.8"]]))
    assert isinstance(await policy.vet(origin("crm.example.com")), Vetted)
    assert isinstance(await policy.vet(origin("crm.example.com", "http")), Blocked)


async def test_plain_http_is_not_even_looked_up_where_no_network_is_allowed() -> None:
    names = Names(everything=[["10.0.0.1"]])
    assert isinstance(await EgressPolicy(resolve=names).vet(origin("x.example", "http")), Blocked)
    assert names.asked == []


async def test_localhost_is_loopback_whatever_the_dns_says() -> None:
    names = Names(everything=[["8.8.8.8"]])
    assert isinstance(await EgressPolicy(resolve=names).vet(origin("localhost")), Blocked)
    opened = EgressPolicy([ip_network("127.0.0.0/8")], resolve=names)
    expected = Vetted((ip_address("127.0.0.1"),))
    assert await opened.vet(origin("localhost", "http")) == expected
    assert await opened.vet(origin("hook.localhost")) == expected


async def test_a_port_that_does_not_exist_is_blocked() -> None:
    policy = EgressPolicy(resolve=Names(everything=[["8.8.8.8"]]))
    for port in (0, -1, 65_536):
        assert isinstance(await policy.vet(origin("crm.example.com", port=port)), Blocked)


async def test_the_customer_is_told_no_address_and_the_operator_is() -> None:
    policy = EgressPolicy(resolve=Names(crm_example_com=[["10.1.2.3"]]))
    stream = io.StringIO()
    logs.configure(stream=stream)
    try:
        with pytest.raises(InvalidInput) as refusal:
            await policy.check_target("https://crm.example.com/")
    finally:
        logs.configure()
    assert "10.1.2.3" not in str(refusal.value)
    assert "10.1.2.3" in stream.getvalue()
