"""How the service hands the console out: caching, policy, size."""

import re

from playwright.async_api import Page, expect

from support.chromium import BUDGETS, MOST_SHIFT, spending
from support.service import Service, Services

_FIRST_VIEW = 250_000  # bytes, as they come over the line


async def test_files_are_kept_for_ever_and_the_document_is_asked_for_again(
    service: Service,
) -> None:
    api = service.api
    page = await api.get("/console/integrations/s95eum", key=None)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    [script] = re.findall(r'src="(/console/assets/[^"]+\.js)"', page.text)
    for encoding, sent in (("br, gzip", "br"), ("gzip", "gzip"), ("identity", None)):
        headers = {"Accept-Encoding": encoding}
        file = await api.get(script, key=None, headers=headers)
        assert file.headers.get("content-encoding") == sent
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["content-type"].startswith("text/javascript")
        head = await api.request("HEAD", script, key=None, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
    assert (await api.get("/console", key=None)).headers["location"] == "/console/"


async def test_what_is_no_file_of_the_build_is_not_handed_out(service: Service) -> None:
    for path in ("assets/missing.js", "assets/../../app.py", "assets/%2e%2e/%2e%2e/app.py"):
        answer = await service.api.get(f"/console/{path}", key=None)
        assert answer.status_code == 404, path
    escape = await service.api.get("/console/..%2fapp.py", key=None)
    assert "hookline" not in escape.text.replace("Hookline", "")


async def test_the_first_view_is_small_and_stands_still(page: Page, starter: Services) -> None:
    await page.add_init_script(BUDGETS)
    await page.goto(f"/console/#key={starter.admin_key}")
    await expect(page.get_by_role("heading", name="Integrations")).to_be_visible()
    await page.wait_for_load_state("networkidle")
    sizes: dict[str, int] = await page.evaluate(
        "() => Object.fromEntries(performance.getEntriesByType('resource')"
        ".filter((one) => one.name.includes('/console/'))"
        ".map((one) => [one.name, one.encodedBodySize]))"
    )
    assert sizes
    assert sum(sizes.values()) <= _FIRST_VIEW, sizes
    assert (await spending(page)).shift <= MOST_SHIFT
