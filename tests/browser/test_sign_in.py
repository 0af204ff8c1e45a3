"""Who comes in, with what, and what the tab keeps of it."""

from playwright.async_api import Page, expect

from hookline.security.keys import new_key
from support.api_client import Keys
from support.service import Services


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


async def test_a_form_outlives_the_session(page: Page, keys: Keys) -> None:
    await page.goto(f"/console/integrations/new#key={await keys.manager(pbx='000000000009')}")
    await page.get_by_role("textbox", name="URL", exact=True).fill("https://crm.example.com/kept")
    await page.get_by_role("treeitem", name="Chat").press("Space")
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
