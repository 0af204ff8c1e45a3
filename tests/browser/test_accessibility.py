"""axe finds no violation on any page, in light and in dark, and no page is cut off."""

import pytest
from playwright.async_api import Browser, Page, ViewportSize, expect

from support.chromium import contrasts, opened, violations
from support.console_pages import PAGES, fill, is_cut_off, show
from support.receivers import Receiver
from support.service import Service, Services

_WIDE: ViewportSize = {"width": 1280, "height": 720}
_NARROW: tuple[ViewportSize, ...] = ({"width": 640, "height": 360}, {"width": 360, "height": 640})
"""The wide window at 200 % zoom, which halves it, and a phone."""


@pytest.mark.timeout(300)
async def test_no_page_has_a_violation_or_is_cut_off(
    browser: Browser, service: Service, starter: Services, receiver: Receiver
) -> None:
    """The scheme changes colours alone, so in dark only these are looked at again."""
    ids = await fill(service, starter.settings["DATABASE_URL"], receiver)
    wrong: dict[str, object] = {}
    async with opened(browser, service.url, viewport=_WIDE) as page:
        await page.goto("/console/")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await _look(page, "sign-in", wrong)
        await page.goto(f"/console/#key={starter.admin_key}")
        await page.get_by_role("navigation").wait_for()
        for name in PAGES:
            await show(page, name, ids)
            folded = page.get_by_role("treeitem", expanded=False)
            while await folded.count():
                await folded.first.press("ArrowRight")
            await _look(page, name, wrong)
    assert wrong == {}


async def _look(page: Page, name: str, wrong: dict[str, object]) -> None:
    if found := await violations(page):
        wrong[name] = found
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    if found := await contrasts(page):
        wrong[f"{name}, dark"] = found
    await page.emulate_media(color_scheme="light")
    for size in _NARROW:
        await page.set_viewport_size(size)
        if await is_cut_off(page):
            wrong[f"{name}, {size['width']} pixels wide"] = "cut off"
    await page.set_viewport_size(_WIDE)
