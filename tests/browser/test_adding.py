"""Add new integration, as the administrator of a phone system does it."""

import asyncio
import json
import re

import pytest
from playwright.async_api import Page, Route, expect

from factories import ACCESS_KEY_ID, PBX, QUEUE_URL, SECRET_ACCESS_KEY, Json, an_event
from support.receivers import Receiver
from support.service import Service
from support.sqs_consumer import Consumer


async def test_a_webhook_for_missed_calls_is_added_with_the_keyboard_alone(
    admin: Page, service: Service
) -> None:
    await admin.goto("/console/integrations/new")
    call = admin.locator("[role=treeitem][data-value=call]")
    await call.wait_for()
    keyboard = admin.keyboard

    async def tab_to(label: str) -> None:
        for _ in range(40):
            await keyboard.press("Tab")
            if await _focused(admin) == label:
                return
        pytest.fail(f"Tab never comes to {label}")

    await tab_to("PBX")
    await keyboard.type(PBX)
    await tab_to("Name")
    await keyboard.type("Missed calls")
    await tab_to("URL")
    await keyboard.type("https://crm.example.com/missed")
    await tab_to("Call")
    for key in ("Space", "ArrowRight", "ArrowRight"):  # the whole group, opened, its first type
        await keyboard.press(key)
    await expect(call).to_have_accessible_name(re.compile("all, also future ones"))
    await expect(call).to_have_attribute("aria-checked", "true")
    await keyboard.press("Space")  # all but the first type of today
    await expect(call).to_have_attribute("aria-checked", "mixed")
    await keyboard.press("Space")  # each of today's, but no future ones
    await expect(call).to_have_accessible_name(re.compile("each of today's"))
    await expect(call).to_have_attribute("aria-checked", "true")
    for key in ("ArrowLeft", "Space", "Space", "Space", "End", "Home"):
        await keyboard.press(key)
    await expect(call).to_have_attribute("aria-checked", "false")
    for key in ("ArrowDown", "ArrowDown", "Space"):
        await keyboard.press(key)
    await tab_to("Add")
    await keyboard.press("Enter")

    await expect(admin.get_by_role("heading", name="Missed calls was added")).to_be_visible()
    [made] = [each for each in await _integrations(service) if each["name"] == "Missed calls"]
    assert made["events"] == {"call": ["call:live:completed"]}
    secret = (await service.read(f"/v1/integrations/{made['id']}/secret"))["secret"]
    await expect(admin.get_by_text(secret)).to_be_visible()


async def test_the_search_in_the_tree_finds_types_in_every_group(admin: Page) -> None:
    await admin.goto("/console/integrations/new")
    await admin.get_by_label("Search the types of events").fill("transcript")
    await expect(admin.get_by_role("treeitem", name="call:transcription:completed")).to_be_visible()
    await expect(admin.get_by_role("treeitem", name="call:live:transcription")).to_be_visible()
    await expect(admin.get_by_role("treeitem", name="presence:user")).to_have_count(0)
    await admin.get_by_label("Search the types of events").fill("presence")
    await admin.get_by_role("treeitem", name="presence:user").click()
    await expect(admin.get_by_text("Presence depends on the licence")).to_be_visible()
    await expect(admin.get_by_text("1 type chosen")).to_be_visible()


async def test_the_services_errors_stand_at_their_fields(admin: Page) -> None:
    await admin.goto("/console/integrations/new")
    await admin.get_by_role("button", name="Add", exact=True).click()
    await expect(admin.get_by_text("Enter the URL.")).to_be_visible()
    await expect(admin.get_by_text("Choose at least one type of event.")).to_be_visible()
    url = admin.get_by_role("textbox", name="URL", exact=True)
    await expect(url).to_be_focused()
    label = await admin.locator("label", has_text="URL").bounding_box()
    header = await admin.get_by_role("banner").bounding_box()
    assert label is not None
    assert header is not None
    assert label["y"] >= header["y"] + header["height"], "what is focused is not behind the header"
    await url.fill("https://10.0.0.1/inside")
    await admin.get_by_role("treeitem", name="SMS").press("Space")
    await admin.get_by_label("PBX").fill(PBX)
    await admin.get_by_role("button", name="Add", exact=True).click()
    await expect(url).to_have_attribute("aria-invalid", "true")
    await expect(url).to_be_focused()


async def test_an_sqs_queue_is_added_and_gets_a_test_event(
    admin: Page, service: Service, emulator: str
) -> None:
    consumer = Consumer(emulator)
    queue = await asyncio.to_thread(consumer.create, "pbx-events")
    await admin.goto("/console/integrations/new")
    await admin.get_by_text("AWS SQS", exact=True).click()
    await admin.get_by_label("PBX").fill(PBX)
    await admin.get_by_label("Name", exact=True).fill("The queue")
    await admin.get_by_role("textbox", name="SQS URL").fill(QUEUE_URL)
    await admin.get_by_label("AWS Key").fill(ACCESS_KEY_ID)
    await admin.get_by_role("textbox", name="Secret").fill(SECRET_ACCESS_KEY)
    await admin.get_by_role("treeitem", name="Analytics").press("Space")
    await admin.get_by_role("button", name="Add", exact=True).click()
    await expect(admin.get_by_role("heading", name="The queue was added")).to_be_visible()
    [made] = [each for each in await _integrations(service) if each["name"] == "The queue"]
    assert made["events"] == {"analytics": "all"}

    await admin.get_by_role("link", name="Send a test event").click()
    await admin.get_by_role("button", name="Send a test event").click()
    await expect(admin.get_by_role("status").filter(has_text="Delivered")).to_be_visible()
    [message] = await asyncio.to_thread(consumer.read, queue, 1)
    await asyncio.to_thread(consumer.close)
    assert json.loads(message["Body"])["integrationId"] == made["id"]


async def test_the_example_for_missed_calls_is_tried_added_and_lets_these_alone_through(
    admin: Page, service: Service, receiver: Receiver
) -> None:
    pbx = "000000000041"
    await admin.goto("/console/integrations/new")
    await admin.get_by_label("PBX").fill(pbx)
    await admin.get_by_role("textbox", name="URL", exact=True).fill(
        f"http://127.0.0.1:{receiver.port}/missed"
    )
    await admin.get_by_role("button", name="Start from an example").click()
    await admin.get_by_role("menuitem", name="Only missed calls").click()
    await expect(admin.get_by_text("0 of 1 example event passes")).to_be_visible()
    await admin.get_by_role("combobox", name="Leave out").fill("data.flows.*.caller.phone")
    await admin.keyboard.press("Enter")
    await admin.get_by_role("button", name="Add", exact=True).click()
    await expect(admin.get_by_role("heading", name="was added")).to_be_visible()

    caller = {"phone": "+15955555123", "name": "Somebody"}
    for subject, talked in (("taken", 9_000), ("missed", 0)):
        flow = {"flowIndex": 0, "direction": "INBOUND", "talkTime": talked, "caller": caller}
        receipt = await service.send(an_event(pbx=pbx, id=subject, data={"flows": [flow]}))
        await service.settled(receipt["eventId"])
    [got] = [json.loads(request.body) for request in receiver.requests]
    assert (got["id"], got["data"]["flows"][0]["caller"]) == ("missed", {"name": "Somebody"})


async def test_a_catalogue_that_comes_late_moves_nothing_below_the_pointer(admin: Page) -> None:
    catalogue = asyncio.Event()

    async def wait_for_it(route: Route) -> None:
        await catalogue.wait()
        await route.continue_()

    await admin.route("**/v1/event-types*", wait_for_it)
    await admin.goto("/console/integrations/new")
    await expect(admin.get_by_role("status", name="Loading")).to_be_visible()
    await expect(admin.get_by_role("button", name="Start from an example")).to_have_count(0)
    catalogue.set()
    await admin.get_by_role("button", name="Start from an example").click()
    example = admin.get_by_role("menuitem", name="Only missed calls")
    await expect(example).to_be_visible()
    await admin.evaluate("document.querySelector('main').style.paddingTop = '2000px'")
    await expect(admin.get_by_role("button", name="Start from an example")).not_to_be_in_viewport()
    await example.click()
    first = admin.get_by_role("combobox", name="Field of row 1")
    await expect(first).to_have_value("data.flows.direction")


async def _integrations(service: Service) -> list[Json]:
    items: list[Json] = (await service.read("/v1/integrations?limit=200"))["items"]
    return items


async def _focused(page: Page) -> str:
    """Return what a person hears of the focused element: its label, or its text."""
    name: str = await page.evaluate(
        "() => { const at = document.activeElement; return at.labels?.[0]?.firstChild?.textContent"
        " ?? at.querySelector(':scope > div p')?.textContent ?? at.getAttribute('aria-label')"
        " ?? at.textContent; }"
    )
    return name
