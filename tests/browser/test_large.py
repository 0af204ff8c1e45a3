"""The console before 10,000 integrations and a million deliveries."""

import asyncio

import asyncpg
import pytest
from playwright.async_api import Browser, CDPSession, Locator, Page, expect

from support.chromium import BUDGETS, MOST_SHIFT, opened, spending
from support.filled_store import fill_finished, make_days
from support.receivers import Receiver
from support.service import Service, Services

_INTEGRATIONS = 10_000
_DELIVERIES = 1_000_000
_AT_ONCE = 20
_OF_A_PBX = 100
_MOST_WORK = 1.0  # CPU seconds of a page's main thread, which other programs do not lengthen
_MOST_BLOCKED = 200  # milliseconds, which Lighthouse calls good


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_list_stays_at_hand(
    browser: Browser, service: Service, starter: Services, receiver: Receiver
) -> None:
    integrations: list[str] = []
    for first in range(0, _INTEGRATIONS, _AT_ONCE):
        pbx = f"{first // _OF_A_PBX:012}"
        names = (f"Customer {number:05}" for number in range(first, first + _AT_ONCE))
        made = await asyncio.gather(
            *(service.an_integration(receiver, name=name, pbx=pbx) for name in names)
        )
        integrations += [each["id"] for each in made]
    dsn = starter.settings["DATABASE_URL"]
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        await make_days(pool)
        async with pool.acquire() as connection:
            await fill_finished(connection, integrations, _DELIVERIES)

    async with opened(browser, service.url) as page:
        await page.add_init_script(BUDGETS)
        await page.goto(f"/console/#key={starter.admin_key}")
        await page.get_by_role("navigation").wait_for()
        rows = page.get_by_role("row")
        await _held(page, "/console/integrations", rows.filter(has_text="Customer 09999"))
        await page.get_by_label("Search").fill("customer 00042")
        await expect(rows).to_have_count(2)
        await page.get_by_label("Search").fill("")
        await expect(rows).to_have_count(51)
        for shown in (101, 151):
            await page.get_by_role("button", name="Show more").click()
            await expect(rows).to_have_count(shown)
        one = integrations[42]
        for path in (
            "deliveries",
            f"integrations/{one}",
            "deliveries?event=call:start",
            "events",
            "events?subject=call-1000",
            "system",
        ):
            await _held(page, f"/console/{path}", rows.nth(1))
        await _held(
            page,
            f"/console/integrations/{one}?tab=charts",
            page.get_by_role("heading", name="Outcomes"),
        )


async def _held(page: Page, path: str, sign: Locator) -> None:
    """Open a page, wait for a sign of it, and hold it to its budgets."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await _work(devtools)
    await page.goto(path)
    await expect(sign).to_be_visible()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    work = await _work(devtools) - before
    spent = await spending(page)
    await devtools.detach()
    print(path, f"{work:.2f} s of work", spent)  # noqa: T201  # for who runs it
    assert work <= _MOST_WORK, path
    assert spent.shift <= MOST_SHIFT, path
    assert spent.blocked_ms <= _MOST_BLOCKED, path


async def _work(devtools: CDPSession) -> float:
    """Return the CPU seconds that the page's main thread has spent on tasks."""
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    seconds: float = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    return seconds
