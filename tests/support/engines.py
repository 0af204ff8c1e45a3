"""The service's parts in this process, engine included, on a database of a test's own."""

import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson

from factories import Json, a_principal, a_webhook, an_event
from hookline.api.dependencies import Services
from hookline.domain.access import new_key
from hookline.domain.events import Limits, parse_event
from hookline.integrations import serializers
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.runtime import open_runtime
from hookline.security.secrets import generate_key
from hookline.settings import Settings
from support.service import eventually
from support.targets import PATIENCE

ADMIN = a_principal()
_QUICK: dict[str, object] = {
    "egress_allowed_networks": "127.0.0.0/8",
    "retry_delays": "none",
    "poll_interval": 0.05,
    "pause_after": 4,
    "pause_after_seconds": 0,
    "probe_interval": 600,
    "max_probe_interval": 900,
    "shutdown_grace": 0.2,
    "delivery_timeout": 60,
    "database_pool_size": 4,
}


class Bench:
    """One or more processes' worth of parts over one database."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn = dsn
        self._folder = folder
        self._secrets = {"admin_key": new_key(), "encryption_keys": generate_key()}

    @asynccontextmanager
    async def running(self, **changes: object) -> AsyncIterator[Services]:
        """Run one process's parts until the block ends; settings that are not named are quick."""
        async with open_runtime(self._settings(changes)) as services:
            yield services

    @asynccontextmanager
    async def taking(self, **changes: object) -> AsyncIterator[Services]:
        """Run the parts of a process that delivers nothing itself."""
        async with open_runtime(self._settings(changes), engine=False) as services:
            yield services

    def _settings(self, changes: dict[str, object]) -> Settings:
        chosen = {"database_url": self._dsn, "data_dir": self._folder, **self._secrets}
        return Settings(_env_file=None, **(chosen | _QUICK | changes))  # type: ignore[arg-type]  # parsed there

    async def ask(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        connection = await asyncpg.connect(self._dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def outcomes(self, integration_id: str) -> list[tuple[object, ...]]:
        """Return (status, reason, attempts) of each delivery that ended, and how many."""
        return await self.ask(
            "select status, reason, attempts, count(*) from deliveries"
            " where integration_id = $1 group by 1, 2, 3 order by 1, 2, 3",
            integration_id,
        )

    async def ended_as(self, integration_id: str, status: str) -> int:
        """Return how many deliveries of an integration ended like this."""
        rows = await self.outcomes(integration_id)
        return sum(int(str(count)) for found, _, _, count in rows if found == status)

    async def until_settled(self, *, within: float = PATIENCE) -> None:
        """Wait until nothing is pending, `within` seconds at the most."""

        async def pending() -> object:
            [(some,)] = await self.ask("select exists (select from pending)")
            return some

        await eventually(pending, lambda some: some is False, within=within)

    async def until_paused(
        self, services: Services, integration_id: str
    ) -> serializers.IntegrationHealth:
        """Send events until an integration, whose target is down, is paused and at rest."""
        numbers = itertools.count(1_000_000)

        async def one_more() -> serializers.IntegrationHealth:
            await send(services, next(numbers))
            return await health_of(services, integration_id)

        async def leased() -> int:
            [(count,)] = await self.ask(
                "select count(*) from pending where integration_id = $1 and lease is not null",
                integration_id,
            )
            assert isinstance(count, int)
            return count

        health = await eventually(one_more, lambda health: health.state == "paused")
        await eventually(leased, lambda count: count == 0)  # what was under way has ended
        return health


async def an_integration(services: Services, url: str, **changes: object) -> str:
    """Create a webhook integration of the usual PBX and return its id."""
    new = IntegrationCreate.model_validate(a_webhook(url=url, events={"call": "all"}) | changes)
    return (await services.integrations.create(ADMIN, new)).integration.id


async def send(services: Services, *numbers: int, **changes: object) -> list[UUID]:
    """Have one event for each number accepted; those with equal numbers are equal."""
    documents: list[Json] = [
        an_event(**{"type": "call:start", "time": number, **changes}) for number in numbers
    ]
    events = [parse_event(orjson.dumps(document), Limits()) for document in documents]
    receipts = await services.ingest.accept_authorised(events, sys.maxsize)
    assert isinstance(receipts, list), "nothing was authorised before a newest revision"
    return [receipt.event_id for receipt in receipts]


async def change(services: Services, integration_id: str, **fields: object) -> None:
    """Patch an integration."""
    patch = IntegrationPatch.model_validate(fields)
    await services.integrations.change(ADMIN, integration_id, patch, None)


async def health_of(services: Services, integration_id: str) -> serializers.IntegrationHealth:
    """Return an integration's health, as the API shows it."""
    return (await services.integrations.read(ADMIN, integration_id)).integration.health


async def until_state(
    services: Services, integration_id: str, state: str
) -> serializers.IntegrationHealth:
    """Wait until an integration is in this state."""
    return await eventually(
        lambda: health_of(services, integration_id), lambda health: health.state == state
    )
