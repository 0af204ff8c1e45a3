"""The service goes away under an open page, and comes back."""

from playwright.async_api import Browser, expect

from support.chromium import opened
from support.ports import free_port
from support.service import Services


async def test_a_half_filled_form_outlives_a_restart_and_is_sent_once(
    browser: Browser, starter: Services
) -> None:
    port = str(free_port())
    before = await starter.start("--no-engine", PORT=port)
    async with opened(browser, before.url) as page:
        await page.goto(f"/console/integrations/new#key={starter.admin_key}")
        await page.get_by_role("textbox", name="PBX").fill("000000000055")
        await page.get_by_role("textbox", name="Name", exact=True).fill("Outlives")
        await page.get_by_role("textbox", name="URL", exact=True).fill("https://crm.example.com/")
        await page.get_by_role("treeitem", name="Chat").press("Space")
        await before.stop()
        add = page.get_by_role("button", name="Add", exact=True)
        await add.click()
        away = page.get_by_role("alert").filter(has_text="The service does not answer")
        await expect(away.first).to_be_visible()

        after = await starter.start("--no-engine", PORT=port)
        await expect(page.get_by_text("What you see may be old")).to_have_count(0, timeout=20_000)
        await add.click()
        await expect(page.get_by_role("heading", name="Outlives was added")).to_be_visible()
    made = (await after.read("/v1/integrations?pbx=000000000055"))["items"]
    await after.stop()
    assert len(made) == 1
