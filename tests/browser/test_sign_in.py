"""Who comes in, with what, and what the tab keeps of it."""

from playwright.async_api import Page, expect

from hookline.domain.access import new_key
from support.api_client import Keys
from support.receivers import Receiver
from support.service import Service, Services


async def test_a_key_signs_in_and_lives_as_long_as_the_tab(page: Page, starter: Services) -> None:
    await page.goto("/console/")
    await page.get_by_label("Key").fill(new_key())
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("The service does not know this key")).to_be_visible()

    await page.get_by_label("Key").fill(starter.admin_key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    assert starter.admin_key not in await page.evaluate("Object.values({...localStorage})")
    assert starter.admin_key in await page.evaluate("Object.values({...sessionStorage})")

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert starter.admin_key not in await page.evaluate("Object.values({...sessionStorage})")


async def test_a_key_in_the_fragment_is_used_and_taken_out_of_the_address(
    page: Page, keys: Keys
) -> None:
    key = await keys.manager(pbx="000000000001")
    await page.goto(f"/console/integrations?type=WEBHOOK#key={key}")
    await expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    assert page.url.endswith("/console/integrations?type=WEBHOOK")


async def test_another_key_in_the_fragment_shows_what_is_its_own_alone(
    page: Page, keys: Keys, service: Service, receiver: Receiver
) -> None:
    for pbx in ("000000000011", "000000000012"):
        await service.an_integration(receiver, pbx=pbx, name=f"Of {pbx}")
    rows = page.get_by_role("table", name="Integrations").get_by_role("row")
    for pbx in ("000000000011", "000000000012"):  # the second one while the first is signed in
        await page.goto(f"/console/integrations#key={await keys.manager(pbx=pbx)}")
        navigation = page.get_by_role("navigation")
        await expect(navigation).to_contain_text(f"manager · {pbx}")
        await expect(rows.nth(1)).to_contain_text(f"Of {pbx}")
        await expect(rows).to_have_count(2)
        assert page.url.endswith("/console/integrations")
        await expect(navigation.get_by_role("link", name="Keys")).to_have_count(0)
    await page.goto("/console/keys")
    await expect(page.get_by_role("heading", name="This page is for admins")).to_be_visible()
    await expect(page.get_by_role("button", name="Make a key")).to_have_count(0)

    await page.goto(f"/console/integrations#key={await keys.expired()}")
    await expect(page.get_by_text("or has expired")).to_be_visible()
    for key, seen in (
        (await keys.ingest(pbx="000000000012"), "This key only sends events"),
        (await keys.manager(pbx="000000000012"), "Of 000000000012"),
    ):
        await page.get_by_label("Key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_text(seen)).to_be_visible()
    await page.goto(f"/console/integrations#key={await keys.expired()}")
    await expect(page.get_by_role("dialog", name="Your session has ended")).to_be_visible()


async def test_the_next_holder_of_the_browser_sees_nothing_of_the_former(
    page: Page, keys: Keys, starter: Services, service: Service, receiver: Receiver
) -> None:
    await service.an_integration(receiver, pbx="000000000013", name="The former's")
    await page.goto(f"/console/integrations#key={starter.admin_key}")
    await expect(page.get_by_text("The former's")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    key = await keys.manager(pbx="000000000014")
    await page.route("**/v1/integrations?*", lambda route: route.abort())
    await page.get_by_label("Key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    await expect(page.get_by_text("The former's")).to_have_count(0)


async def test_everything_speaks_the_chosen_language(page: Page, starter: Services) -> None:
    await page.goto(f"/console/integrations/new#key={starter.admin_key}")
    await page.get_by_role("navigation").wait_for()  # signing in has a menu of its own
    await page.get_by_role("button", name="Language").click()
    await page.get_by_role("menuitem", name="Deutsch").click()
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    group = page.get_by_role("treeitem", name="Präsenz")
    await group.press("ArrowRight")
    await page.get_by_role("treeitem", name="Status eines Benutzers").press("Space")
    await expect(page.get_by_text("1 Typ ausgewählt")).to_be_visible()
    english = ("the ", "of ", "and ", "with ", "Presence", "Call ")
    text = (await page.locator("body").inner_text()).replace("Add new", "")
    assert [word for word in english if f" {word}" in text or f"\n{word}" in text] == []


async def test_a_form_outlives_the_session(page: Page, keys: Keys) -> None:
    await page.goto(f"/console/integrations/new#key={await keys.manager(pbx='000000000009')}")
    await page.get_by_role("textbox", name="URL", exact=True).fill("https://crm.example.com/kept")
    await page.get_by_role("treeitem", name="Chat").press("Space")
    following = await keys.manager(pbx="000000000009")
    await page.evaluate("key => { location.hash = `key=${key}`; }", following)
    await expect(page.get_by_role("navigation")).to_contain_text(following[:7])
    assert page.url.endswith("/console/integrations/new")
    await keys.revoke_newest()
    await page.get_by_role("button", name="Add", exact=True).click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    await dialog.get_by_label("Key").fill(await keys.manager(pbx="000000000009"))
    await dialog.get_by_role("button", name="Sign in").click()
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("textbox", name="URL", exact=True)).to_have_value(
        "https://crm.example.com/kept"
    )
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("heading", name="crm.example.com was added")).to_be_visible()
