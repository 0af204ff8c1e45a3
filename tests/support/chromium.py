"""The system's Chromium, which Playwright drives, and what a page in it is held to.

`python -m support.system_postgres` installs it where a run demands that.
"""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

CONSOLE = Path(__file__).parents[2] / "console"
PATIENCE_MS = 20_000  # for what takes milliseconds on an idle machine
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_NOT_HELD_TO = {  # it takes the items inside a tree's item for the label of that item
    "label-content-name-mismatch": {"enabled": False}
}
_COME_TO_REST = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    let moving;
    do {
        await frame();
        await frame();
        moving = document.getAnimations();
        await Promise.allSettled(moving.map((one) => one.finished));
    } while (moving.length > 0);
}"""  # a style that has just changed starts its transitions with the next frame
MOST_SHIFT = 0.1  # of the layout while a page builds itself up: "good" for Lighthouse
BUDGETS = """
window.budgets = {shift: 0, blocked: 0};
new PerformanceObserver((list) => list.getEntries().forEach((one) => {
    if (!one.hadRecentInput) window.budgets.shift += one.value;
})).observe({type: 'layout-shift', buffered: true});
new PerformanceObserver((list) => list.getEntries().forEach((one) => {
    window.budgets.blocked += one.duration - 50;
})).observe({type: 'longtask', buffered: true});
"""
"""An initial script that watches a page's layout shifts and long tasks for `spending`."""
_REFUSED = "Failed to load resource"  # how Chromium tells of every answer of 400 and more


def find_program() -> Path | None:
    """Return the browser, or None where the system has none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    return Path(found) if found else None


@asynccontextmanager
async def browsing(program: Path) -> AsyncIterator[Browser]:
    """Run a browser for the block; root has to run it without its sandbox."""
    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=[*sandbox, "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@asynccontextmanager
async def opened(browser: Browser, url: str, **options: Any) -> AsyncIterator[Page]:  # noqa: ANN401  # Playwright's own
    """Give a page in a session of its own; fail where its scripts or its policy complain."""
    async with session(browser, url, **options) as context, tab(context) as page:
        yield page


@asynccontextmanager
async def session(browser: Browser, url: str, **options: Any) -> AsyncIterator[BrowserContext]:  # noqa: ANN401  # Playwright's own
    """Give a browser session; its pages share what is kept but for the tab's life."""
    context = await browser.new_context(base_url=url, locale="en-GB", **options)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@asynccontextmanager
async def tab(context: BrowserContext) -> AsyncIterator[Page]:
    """Give a page of a session; fail where its scripts or its policy complain."""
    page = await context.new_page()
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and _REFUSED not in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await page.close()
    assert not complaints


@dataclass(frozen=True, slots=True)
class Spending:
    """How much a page's layout has shifted, and for how long tasks kept it from answering.

    `blocked_ms`: what Lighthouse calls the total blocking time: of each task that took longer than
    50 ms, what is beyond those.
    """

    shift: float
    blocked_ms: float


async def spending(page: Page) -> Spending:
    """Return what a page, which was opened with BUDGETS, has spent so far."""
    await come_to_rest(page)
    spent = await page.evaluate("() => window.budgets")
    return Spending(spent["shift"], spent["blocked"])


async def violations(page: Page) -> Sequence[str]:
    """Return what axe finds wrong on a page, once nothing on it moves any more."""
    return await _found(page, {"rules": _NOT_HELD_TO})


async def contrasts(page: Page) -> Sequence[str]:
    """Return which texts axe finds too pale: all that another colour scheme can spoil."""
    return await _found(page, {"runOnly": ["color-contrast"]})


async def come_to_rest(page: Page) -> None:
    """Wait until no animation and no transition runs on a page."""
    await page.evaluate(_COME_TO_REST)


async def _found(page: Page, options: dict[str, Any]) -> Sequence[str]:  # Any: axe's own options
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await come_to_rest(page)
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(_axe())
    found: list[dict[str, Any]] = await page.evaluate(  # Any: axe's own report
        "async (options) => (await axe.run(document, options)).violations",
        {"resultTypes": ["violations"], **options},  # what is well takes as long to describe
    )
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found
    ]


@cache
def _axe() -> str:
    return (CONSOLE / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
