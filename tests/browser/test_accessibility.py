"""axe finds no violation on any page, in light and in dark."""

from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from support.chromium import opened, violations
from support.service import Service, Services

PAGES = {
    "integrations": "Integrations",
    "integrations/new": "Add new integration",
    "nowhere": "There is nothing at this address",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_violation(
    browser: Browser, service: Service, starter: Services, scheme: Literal["light", "dark"]
) -> None:
    async with opened(browser, service.url, color_scheme=scheme) as page:
        await page.goto("/console/")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        found = {"sign in": await violations(page)}
        await page.goto(f"/console/#key={starter.admin_key}")
        await page.reload()  # another fragment alone loads nothing
        await page.get_by_role("navigation").wait_for()
        for path, heading in PAGES.items():
            await page.goto(f"/console/{path}")
            await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
            await _open_everything(page)
            found[path] = await violations(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


async def _open_everything(page: Page) -> None:
    """Unfold what a page has folded in."""
    folded = page.get_by_role("treeitem", expanded=False)
    while await folded.count():
        await folded.first.press("ArrowRight")
