"""axe finds no violation on any page, in light and in dark."""

from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from factories import COMPANY, an_event
from support.chromium import opened, violations
from support.receivers import Receiver, answering, status
from support.service import Service, Services

PAGES = {
    "integrations": "Integrations",
    "integrations/new": "Add new integration",
    "integrations/{integration}": "Seen by axe",
    "integrations/{integration}?tab=replay": "Seen by axe",
    "integrations/{integration}?tab=charts": "Seen by axe",
    "integrations/{integration}?tab=test": "Seen by axe",
    "integrations/{integration}?tab=settings": "Seen by axe",
    "integrations/{integration}?tab=secret": "Seen by axe",
    "deliveries": "Deliveries",
    "deliveries/{delivery}": "Delivery of call:completed",
    "events": "Events",
    "events/{event}": "call:completed",
    "pbxs": "PBXs",
    "keys": "Keys",
    "system": "System",
    "nowhere": "There is nothing at this address",
}


@pytest.fixture
async def seen(service: Service, receiver: Receiver) -> dict[str, str]:
    """What the pages show: an integration, and the delivery of an event that it refused."""
    receiver.behaviour = answering(status(404, body=b"no such thing"))
    pbx = "000000000031"
    await service.api.put(f"/v1/pbxs/{pbx}", {"company": COMPANY, "license": "collaboration"})
    made = await service.an_integration(receiver, name="Seen by axe", pbx=pbx)
    event = (await service.send(an_event(pbx=pbx, id="seen")))["eventId"]
    delivery = await service.settled_delivery(event)
    return {"integration": made["id"], "event": event, "delivery": delivery["id"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_page_has_a_violation(
    browser: Browser,
    service: Service,
    starter: Services,
    seen: dict[str, str],
    scheme: Literal["light", "dark"],
) -> None:
    async with opened(browser, service.url, color_scheme=scheme) as page:
        await page.goto("/console/")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        found = {"sign in": await violations(page)}
        await page.goto(f"/console/#key={starter.admin_key}")
        await page.reload()  # another fragment alone loads nothing
        await page.get_by_role("navigation").wait_for()
        for path, heading in PAGES.items():
            await page.goto(f"/console/{path.format(**seen)}")
            await expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
            await _open_everything(page)
            found[path] = await violations(page)
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


async def _open_everything(page: Page) -> None:
    """Unfold what a page has folded in."""
    folded = page.get_by_role("treeitem", expanded=False)
    while await folded.count():
        await folded.first.press("ArrowRight")
