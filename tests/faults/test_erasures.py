"""SIGKILL in every step of an erasure: all of its events are erased, no other, and no trace stays.

Each moment is held open by a row lock of the test's, so the process dies exactly there.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from factories import Json, an_event
from support.postgres_clients import ask, connection
from support.receivers import Exchange, receiving, status
from support.service import Service, Services, eventually

ERASED, KEPT = "000000000001", "000000000002"  # PBXs
EVENTS = 560  # of the one: more than a page of an erasure
OTHERS = 20  # of the other
HIDDEN, VISIBLE = "caller-390461-erased", "caller-390461-kept"
SETTINGS = {
    "DELIVERY_TIMEOUT": "5",  # seconds, as below
    "LEASE_MARGIN": "1",
    "RETRY_DELAYS": "3000",
    "LOG_LEVEL": "DEBUG",
}
_LOCKED_OUT = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and wait_event_type = 'Lock' and query ilike '%update {table}%'"
)
_OTHER_SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database()"
    " and backend_type = 'client backend' and pid <> pg_backend_pid()"
)
_TABLES = (
    "select oid::regclass::text from pg_class"
    " where relkind in ('r', 'm') and relnamespace = 'public'::regnamespace"
)
_FILES_WITH = (
    "select name from pg_database, pg_ls_dir('base/' || oid) as files (name)"
    " where datname = current_database()"
    " and position($1::bytea in pg_read_binary_file('base/' || oid || '/' || name)) > 0"
)


def a_call(pbx: str, number: int, marker: str) -> Json:
    """Return an event that says the marker, in a row of its own or, every tenth, outside of it."""
    long = secrets.token_hex(4_000) if number % 10 == 0 else ""
    data = {"caller": f"{marker}-{number}", "transcription": f"{long} {marker}"}
    return an_event(pbx=pbx, id=f"call-{number}", data=data)


async def behave(exchange: Exchange) -> None:
    """Say the marker back, in refusals and in what is retried later."""
    body = exchange.request.body
    marker = HIDDEN if HIDDEN.encode() in body else VISIBLE
    code = 503 if b'"call-5"' in body else 404
    await exchange.say(status(code, body=f"Who is {marker}?".encode()))


class ErasingService:
    """One database, and the service on it that is killed and started again."""

    def __init__(self, together: Services) -> None:
        self._together = together
        self.dsn = together.settings["DATABASE_URL"]
        self.job = ""
        self.log = ""
        self.service: Service

    async def start(self) -> None:
        self.service = await self._together.start(**SETTINGS)

    async def kill(self) -> None:
        await self.service.kill()
        self.log += self.service.command.said + await self.service.command.errors()

    async def begin(self) -> None:
        answer = await self.service.api.post("/v1/erasures", {"pbx": ERASED})
        assert answer.status_code == 202, answer.text
        self.job = answer.json()["id"]

    async def until(self, **said: str) -> Json:
        """Wait until the job says this; return it."""
        return await eventually(
            lambda: self.service.read(f"/v1/erasures/{self.job}"),
            lambda job: said.items() <= job.items(),
        )

    @asynccontextmanager
    async def held(self, query: str) -> AsyncIterator[None]:
        """Lock a row for the time of the block."""
        async with connection(self.dsn) as client, client.transaction():
            assert await client.fetchval(f"{query} limit 1 for update") is not None
            yield

    async def until_locked_out(self, table: str) -> None:
        await eventually(lambda: ask(self.dsn, _LOCKED_OUT.format(table=table)), bool)

    async def progress(self) -> tuple[int, int, bool]:
        """Return what is erased, what of it counts as done, and whether a page is half done.

        The sessions of a process that was killed have ended then.
        """
        await eventually(lambda: ask(self.dsn, _OTHER_SESSIONS), lambda others: others == 0)
        async with connection(self.dsn) as client:
            erased = await client.fetchval("select count(erased_at) from events")
            job = await client.fetchrow("select worked_on, page_end from jobs")
        return erased, job["worked_on"], job["page_end"] is not None


async def test_killed_in_every_step_it_erases_all_of_its_events_and_no_other(
    together: Services,
) -> None:
    erasing = ErasingService(together)
    async with receiving(behave) as receiver:
        await erasing.start()
        for pbx in (ERASED, KEPT):
            await erasing.service.an_integration(receiver, pbx=pbx)
        await erasing.service.send_batch([a_call(ERASED, n, HIDDEN) for n in range(EVENTS)])
        await erasing.service.send_batch([a_call(KEPT, n, VISIBLE) for n in range(OTHERS)])
        await eventually(
            lambda: settled(erasing.dsn), lambda counts: counts == (EVENTS + OTHERS - 2, 2)
        )
        await ask(erasing.dsn, "analyze")  # as autovacuum does: samples of values are data, too
        kept = await of_the_other(erasing.dsn)

        async with erasing.held("select 1 from events where subject = 'call-100'"):
            await erasing.begin()
            await erasing.until_locked_out("events")
            await erasing.kill()  # while a page is being erased
        assert await erasing.progress() == (0, 0, False)

        async with erasing.held("select 1 from pending where attempts = 1"):
            await erasing.start()
            await erasing.until(error="Waiting for attempts that are under way.")
            await erasing.kill()  # between the two transactions of a page
        assert await erasing.progress() == (500, 0, True)

        async with erasing.held("select 1 from attempts where response like '%erased%'"):
            await erasing.start()
            await erasing.until_locked_out("attempts")
            await erasing.kill()  # while answers are being cleared
        assert await erasing.progress() == (500, 0, True)

        await erasing.start()
        await erasing.until(error="Waiting for events that are being accepted.")
        await erasing.kill()  # before it looks at its last minute once more
        assert await erasing.progress() == (EVENTS, EVENTS, False)
        await ask(erasing.dsn, "update jobs set next_at = now()")  # the half minute is over

        await erasing.start()
        job = await erasing.until(state="done")
        assert (job["total"], job["erased"]) == (EVENTS, EVENTS)
        await erasing.kill()

    assert await of_the_other(erasing.dsn) == kept
    async with connection(erasing.dsn) as client:
        left = await client.fetchval("select count(*) from events where erased_at is null")
        assert left == OTHERS
        await nothing_of_it_waits(client)
        await no_trace(client)
    assert "job.finished" in erasing.log
    assert HIDDEN not in erasing.log


async def settled(dsn: str) -> tuple[int, int]:
    """Count the deliveries that have ended, and those that wait for their retry."""
    ended: int = await ask(dsn, "select count(*) from deliveries")
    waiting: int = await ask(dsn, "select count(*) from pending where attempts = 1")
    return ended, waiting


async def of_the_other(dsn: str) -> list[Any]:
    """Return what the other PBX's rows say."""
    query = (
        "select e.id, e.payload, e.erased_at, a.response"
        " from events e left join deliveries d on d.event_id = e.id"
        " left join attempts a on a.delivery_id = d.id where e.pbx = $1 order by e.id"
    )
    async with connection(dsn) as client:
        rows: list[Any] = await client.fetch(query, KEPT)
    return rows


async def nothing_of_it_waits(client: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    """See that what waited has ended as erased, and that the other PBX's delivery waits still."""
    reasons = await client.fetch("select reason from deliveries where status = 'skipped'")
    assert [row["reason"] for row in reasons] == ["erased"]
    query = "select e.pbx from pending p join events e on e.id = p.event_id"
    assert [row["pbx"] for row in await client.fetch(query)] == [KEPT]


async def no_trace(client: Any) -> None:  # noqa: ANN401 - the same
    """Search each table, what the planner knows of it, and, as superuser, the database's files."""
    tables = [row[0] for row in await client.fetch(_TABLES)] + ["pg_stats"]
    found = {marker: await tables_with(client, tables, marker) for marker in (HIDDEN, VISIBLE)}
    assert found[HIDDEN] == []
    assert {name.partition("_")[0] for name in found[VISIBLE]} == {"events", "attempts"}
    if await client.fetchval("show is_superuser") == "on":
        await client.execute("vacuum full events, attempts")
        await client.execute("checkpoint")
        assert await client.fetch(_FILES_WITH, HIDDEN.encode()) == []
        assert await client.fetch(_FILES_WITH, VISIBLE.encode()) != []


async def tables_with(client: Any, tables: list[str], marker: str) -> list[str]:  # noqa: ANN401 - the same
    """Return the tables that say the marker, as text or as bytes."""
    query = "select exists (select from {} as t where t::text like any($1))"
    spelled = [f"%{marker}%", f"%{marker.encode().hex()}%"]
    return [name for name in tables if await client.fetchval(query.format(name), spelled)]
