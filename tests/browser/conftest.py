"""One service and one browser for every journey; each test has a browser session of its own."""

import json
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from support.api_client import Keys
from support.chromium import browsing, find_program, opened, session, tab
from support.databases import Databases
from support.moto_server import moto_server
from support.receivers import Receiver, receiving
from support.senders import minting
from support.service import Service, Services, services


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    program = find_program()
    if program is None:
        sentence = "NOT RUN in a browser: install the system's package (chromium)."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    async with browsing(program) as started:
        yield started


@pytest.fixture(scope="session")
async def starter(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Services]:
    folder = tmp_path_factory.mktemp("console")
    async with databases.migrated() as dsn, services(folder, DATABASE_URL=dsn) as opened_services:
        yield opened_services


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """An SQS emulator's address, to which the service sends."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
async def service(starter: Services, emulator: str) -> Service:
    return await starter.start(RETRY_DELAYS="0.05", SQS_ENDPOINT_URL=emulator)


@pytest.fixture
async def keys(starter: Services) -> AsyncIterator[Keys]:
    async with minting(starter) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


@pytest.fixture
async def page(browser: Browser, service: Service) -> AsyncIterator[Page]:
    """A page before it has signed in."""
    async with opened(browser, service.url) as made:
        yield made


@pytest.fixture(scope="session")
async def loaded(browser: Browser, service: Service) -> AsyncIterator[BrowserContext]:
    """A browser session that has the console's files already, for pages that admins sign in on."""
    async with session(browser, service.url) as made:
        yield made


@pytest.fixture
async def admin(loaded: BrowserContext, starter: Services) -> AsyncIterator[Page]:
    """A page that has an admin's key, as one that is loaded anew does; it shows nothing yet."""
    async with tab(loaded) as page:
        kept = {"hookline.key": starter.admin_key, "hookline.role": "admin"}
        await page.add_init_script(f"Object.assign(sessionStorage, {json.dumps(kept)})")
        yield page
