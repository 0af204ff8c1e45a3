import pytest

from factories import a_principal
from hookline.api.rate_limits import KeyRateLimits
from hookline.errors import Overloaded
from support.api_client import Api, Keys
from support.scraping import Scraped, parsed


async def scrape(api: Api) -> Scraped:
    answer = await api.get("/metrics", key=None)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.text)


async def test_refused_keys_are_counted_and_requests_without_one_are_not(
    api: Api, keys: Keys
) -> None:
    before = (await scrape(api)).value("hookline_keys_refused_total")
    for key in ("hk_" + "x" * 43, await keys.expired(), await keys.revoked()):
        assert (await api.get("/v1/integrations", key=key)).status_code == 401
    assert (await api.get("/v1/integrations", key=None)).status_code == 401
    assert (await scrape(api)).value("hookline_keys_refused_total") == before + 3


def test_events_over_a_keys_share_are_counted() -> None:
    rate_limits = KeyRateLimits(
        requests_per_second=1, changes_per_second=1, events_per_second=1, clock=lambda: 100.0
    )
    sender = a_principal()
    for _ in range(2):
        rate_limits.spend_event(sender)
    for _ in range(3):
        with pytest.raises(Overloaded):
            rate_limits.spend_event(sender)
    assert rate_limits.refused_events == 3


async def test_the_process_and_its_python_are_told(api: Api) -> None:
    seen = await scrape(api)
    assert seen.value("process_resident_memory_bytes") > 1_000_000
    assert seen.value("process_open_fds") > 0
    assert seen.kinds["python_info"] == "gauge"
