"""Pictures of every page at three widths in both schemes: `make pictures` keeps them in docs."""

import base64
import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from support.chromium import come_to_rest, opened
from support.console_pages import PAGES, fill, show
from support.receivers import Receiver
from support.service import Service, Services

_SIZES = {"phone": (390, 700), "tablet": (820, 800), "wide": (1440, 800)}
"""Widths, and heights at the least, in pixels."""
_TALLEST = 3200  # pixels: a longer page is cut below
_QUALITY = 60
_MOST = 6_000_000  # bytes, of all pictures together


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_every_page_has_its_pictures(
    browser: Browser, service: Service, starter: Services, receiver: Receiver, tmp_path: Path
) -> None:
    ids = await fill(service, starter.settings["DATABASE_URL"], receiver)
    folder = Path(os.environ.get("PICTURES", tmp_path))
    sizes: list[int] = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        async with opened(browser, service.url, color_scheme=scheme) as page:
            await page.goto("/console/")
            await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
            sizes += await _take(page, folder, "sign-in", scheme)
            await page.goto(f"/console/#key={starter.admin_key}")
            await page.get_by_role("navigation").wait_for()
            for name in PAGES:
                await show(page, name, ids)
                await _prepare(page, name)
                sizes += await _take(page, folder, name, scheme)
    assert sum(sizes) < _MOST


async def _prepare(page: Page, name: str) -> None:
    """Do on a page what shows what it is for."""
    if name == "integrations":
        await expect(page.locator(".sparkline").first).to_be_attached()
    elif name == "new":
        await page.get_by_role("treeitem", name="Call", exact=False).first.press("ArrowRight")
        await page.get_by_role("button", name="Start from an example").click()
        await page.get_by_role("menuitem", name="Only missed calls").click()
        await expect(page.get_by_text("example event passes")).to_be_visible()
    elif name == "test":
        await page.get_by_role("button", name="Send a test event").click()
        await expect(page.get_by_label("The body that was sent")).to_be_visible()
    elif name == "settings":
        await page.get_by_role("button", name="Order, pace and retries").click()
        await expect(page.get_by_text("pass", exact=False).last).to_be_visible()


async def _take(page: Page, folder: Path, name: str, scheme: str) -> list[int]:
    """Keep a page as a picture at each width; return their sizes in bytes."""
    sizes = []
    devtools = await page.context.new_cdp_session(page)
    await page.mouse.move(0, 0)
    for width, (pixels, least) in _SIZES.items():
        await page.set_viewport_size({"width": pixels, "height": least})
        await come_to_rest(page)  # the place that the navigation had is given back bit by bit
        height: int = await page.evaluate("() => document.documentElement.scrollHeight")
        if height > least:  # the window as tall as the page, so that its header is on top
            whole = min(height, _TALLEST)
            await page.set_viewport_size({"width": pixels, "height": whole})
        await page.evaluate("() => scrollTo(0, 0)")
        await come_to_rest(page)
        taken = await devtools.send(
            "Page.captureScreenshot", {"format": "webp", "quality": _QUALITY}
        )
        picture = base64.b64decode(taken["data"])
        sizes.append((folder / f"{name}-{width}-{scheme}.webp").write_bytes(picture))
    await devtools.detach()
    return sizes
