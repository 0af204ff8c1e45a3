"""A service with marked secrets, and everything that it logs, answers, stores and sends."""

import asyncio
from urllib.parse import urlsplit

import httpx

from factories import Json, a_webhook
from hookline.security.secrets import generate_key
from support.marks import LeakSearch, mark
from support.postgres_clients import connection
from support.service import Service

NOWHERE = "http://127.0.0.1:1"  # where nobody listens
_SHOWN = {"header", "url"}  # what an integration's own readers see


class RecordedService:
    """One service, everything it says, and the marks that it is given."""

    def __init__(self, dsn: str) -> None:
        self.leaks = LeakSearch()
        self.dsn = dsn
        self.marks = {
            "admin": "hk_" + mark("admin", 43),
            "old_encryption": generate_key(),
            "encryption": generate_key(),
            "database": urlsplit(dsn).password or "",
            "proxy": mark("proxy"),
            "aws": mark("aws"),
            "header": mark("header"),
            "url": mark("url"),
            "lost": "hk_" + mark("lost", 43),
            "misplaced": mark("misplaced"),
            "content": mark("content"),
        }
        self.leaks.add(**self.marks)
        self.said: list[tuple[str, asyncio.Task[bytes]]] = []

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.dsn,
            "ADMIN_KEY": self.marks["admin"],
            "ENCRYPTION_KEYS": self.marks["encryption"],
            "LOG_LEVEL": "DEBUG",
            "RETRY_DELAYS": "0.05",
            "DELIVERY_TIMEOUT": "2",
            "SQS_ENDPOINT_URL": NOWHERE,
        }

    def listen(self, service: Service) -> None:
        """Read what a process writes while it runs, and note what it answers."""
        error = service.command.process.stderr
        assert error is not None
        self.said.append(("its log", asyncio.create_task(error.read())))

        async def note(answer: httpx.Response) -> None:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                return
            await answer.aread()
            self.answered(answer)

        service.api.client.event_hooks = {"response": [note]}

    def answered(self, answer: httpx.Response) -> None:
        """Search an answer for what may not be in it."""
        path, method = answer.request.url.path, answer.request.method
        allowed: set[str] = set()
        if path.startswith("/v1/integrations") and answer.status_code < 300:
            allowed |= _SHOWN
        if path.startswith(("/v1/events/", "/v1/integrations")):
            allowed.add("content")  # the event itself, to those who may read it
        if path.endswith("secret") or (method, path) == ("POST", "/v1/integrations"):
            return  # the three answers that hold a webhook's secret
        head = f"{answer.status_code} {list(answer.headers.items())}"
        self.leaks.search(f"answer to {method} {path}", head + answer.text, allowed=allowed)

    async def search_everything_said(self) -> None:
        for where, task in self.said:
            self.leaks.search(where, (await task).decode(errors="replace"))

    async def search_database(self) -> None:
        """Search every column of every row, as text, as a dump has it."""
        async with connection(self.dsn) as client:
            tables = await client.fetch(
                "select c.oid::regclass::text as name from pg_class c where c.relkind = 'r'"
                " and c.relnamespace = 'public'::regnamespace"
            )
            for (name,) in tables:
                allowed = {
                    "integrations": {"url"},
                    **{t: {"content"} for (t,) in tables if t.startswith("events")},
                }.get(name, set())
                for (row,) in await client.fetch(f"select t::text from {name} t"):  # noqa: S608  # a table's name
                    self.leaks.search(f"table {name}", row, allowed=allowed)

    async def an_integration(self, service: Service, target: str) -> Json:
        """Create a webhook with marks in its URL and its headers; learn its secret."""
        url = f"{target}/hook/{self.marks['url']}?token={self.marks['url']}"
        document = a_webhook(url=url, headers={"X-Token": self.marks["header"]})
        made = await service.api.post("/v1/integrations", document)
        assert made.status_code == 201, made.text
        integration: Json = made.json()
        self.leaks.add(**{f"secret of {integration['id']}": integration["transmission"]["secret"]})
        return integration
