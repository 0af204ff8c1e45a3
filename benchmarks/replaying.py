"""A replay of very many deliveries, by a real process that is killed in the middle of it.

    .venv/bin/python benchmarks/replaying.py [--events 1000000] [--days 30] [--missing] [--rate 40]

Starts one process of the service with a Postgres of its own that holds so many events of one PBX
over so many days, each delivered once to an integration (with `--missing`: to none, as if it did
not exist then), and replays all of them to a receiver here that answers at once. Live events of
this PBX and of another one come all the while, at a rate, or none. At two fifths the process is
killed (SIGKILL) and started again. Prints what the process' memory was, how long live events took
from being sent to being received, without the replay and beside it, and how often each event came.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from hookline.db.partitions import of_days
from hookline.domain.access import new_key
from hookline.security.secrets import generate_key
from own_postgres import own_postgres
from receiving import Receiver, between

_PORT = 18_081
_REPLAYED, _OTHER = "000000000001", "000000000002"
_AT_ONCE = 100_000  # events of one statement
_QUIET = 8.0  # seconds of live events before the replay, and behind it
_KILLED_AT = 0.4
_FILL = """
with made as materialized (
    select
        n, (lpad(to_hex(ms), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid as id,
        (lpad(to_hex(ms), 12, '0') || '70018' || lpad(to_hex(n), 15, '0'))::uuid as delivery,
        '{"id":"call-' || n || '","pbx":"000000000001","company":"it_w000001","time":' || ms
            || ',"type":"call:start"' as head
    from (
        select n, $1::bigint + (n * $2::float8)::bigint as ms
        from generate_series($3::bigint, $4::bigint) as n
    ) as each
),
stored as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select
        id, '000000000001', 'it_w000001', 'call:start', 'call-' || n, n,
        convert_to(head || ',"data":{"number":' || n || '}}', 'utf8'), length(head)
    from made
)
insert into deliveries (id, event_id, integration_id, type, status, attempts, finished_at)
select delivery, id, $5::text, 'call:start', 'delivered', 1, now()
from made where $5::text is not null
"""


class Books:
    """What has come of the replay and of live events."""

    def __init__(self, total: int) -> None:
        self._first = array("q", [0]) * total  # hash of the delivery that each event came under
        self.events = self.again = self.under_another_id = 0
        self.live: dict[str, list[float]] = {_REPLAYED: [], _OTHER: []}

    def note(self, head: bytes, body: bytes) -> None:
        if b'"sent":' in body:
            if b"x-hookline-replay" in head.lower():
                return  # it came live before
            age = time.time() - int(between(body, b'"sent":', b"}")) / 1e6
            self.live[between(body, b'"pbx":"', b'"').decode()].append(age * 1000)
            return
        number = int(between(body, b'"number":', b"}"))
        identifier = hash(between(head.lower(), b"webhook-id: ", b"\r\n")) or 1
        if not self._first[number]:
            self._first[number] = identifier
            self.events += 1
        elif self._first[number] == identifier:
            self.again += 1
        else:
            self.under_another_id += 1

    def say(self, name: str) -> None:
        """Print the live events' times since the last time, and forget them."""
        for pbx, ages in self.live.items():
            if ages:
                ordered = sorted(ages)
                whose = "the replay's PBX" if pbx == _REPLAYED else "another PBX"
                print(
                    f"live, {name}, {whose}: median {statistics.median(ordered):.1f},"
                    f" p99 {ordered[int(len(ordered) * 0.99)]:.1f},"
                    f" most {ordered[-1]:.1f} ms of {len(ordered)}",
                    flush=True,
                )
            ages.clear()


class Service:
    """The process, its memory, and its API."""

    def __init__(self, settings: dict[str, str], folder: str, key: str) -> None:
        self._settings, self._folder = settings, folder
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{_PORT}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        self.memory: list[int] = []  # kB of its own, a second apart

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("hookline"),
            "serve",
            env=os.environ | self._settings,
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            cwd=self._folder,
        )
        async with asyncio.timeout(120):
            while True:
                with suppress(httpx.TransportError):
                    if (await self.client.get("/readyz")).is_success:
                        return
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        self.process.terminate()
        await self.process.wait()
        await self.client.aclose()

    async def watch(self) -> None:
        while True:
            self.memory.append(_private_kb(self.process.pid))
            await asyncio.sleep(1)


def _private_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0])


async def _send(service: Service, rate: float) -> None:
    """Send a live event to each PBX, in turn; while the process is away, none."""
    number = 0
    while True:
        number += 1
        about = {"id": f"live-{number}", "pbx": (_REPLAYED, _OTHER)[number % 2]}
        event = about | {
            "company": "it_w000001",
            "time": time.time_ns() // 1_000_000,
            "type": "call:start",
            "data": {"sent": time.time_ns() // 1000},
        }
        with suppress(httpx.TransportError):
            await service.client.post("/v1/events", json=event)
        await asyncio.sleep(1 / rate)


async def _fill(dsn: str, total: int, days: int, integration: str | None) -> datetime:
    connection = await asyncpg.connect(dsn)
    now = datetime.now(UTC)
    start = now - timedelta(days=days - 1, minutes=1)
    for partition in of_days(now.date() - timedelta(days=day) for day in range(days + 1)):
        exists = await connection.fetchval("select to_regclass($1) is not null", partition.name)
        if not exists:
            await connection.execute(partition.create())
    first, step = int(start.timestamp() * 1000), (now - start).total_seconds() * 1000 / total
    for low in range(0, total, _AT_ONCE):
        high = min(total, low + _AT_ONCE) - 1
        await connection.execute(_FILL, first, step, low, high, integration)
    await connection.execute("vacuum analyze")
    await connection.close()
    return start - timedelta(minutes=1)


@asynccontextmanager
async def _started(dsn: str, key: str, options: argparse.Namespace) -> AsyncIterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "HOOKLINE_DATABASE_URL": dsn,
            "HOOKLINE_ENCRYPTION_KEYS": generate_key(),
            "HOOKLINE_ADMIN_KEY": key,
            "HOOKLINE_PORT": str(_PORT),
            "HOOKLINE_DATA_DIR": folder,
            "HOOKLINE_RETENTION_DAYS": str(options.days + 2),
            "HOOKLINE_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        service = Service(settings, folder, key)
        await service.start()
        try:
            yield service
        finally:
            await service.stop()


async def _integrations(client: httpx.AsyncClient, target: str) -> str:
    made = []
    for pbx in (_REPLAYED, _OTHER):
        wanted = {"type": "WEBHOOK", "url": target}
        answer = await client.post(
            "/v1/integrations",
            json={"pbx": pbx, "transmission": wanted, "events": {"call": "all"}},
        )
        made.append(answer.raise_for_status().json()["id"])
    return str(made[0])


async def _replay(service: Service, books: Books, path: str, asked: dict[str, Any]) -> None:
    answer = await service.client.post(path, json=asked)
    job = answer.raise_for_status().json()
    began = time.monotonic()
    counted = killed = None
    while job["finishedAt"] is None:
        await asyncio.sleep(0.5)
        with suppress(httpx.TransportError):
            job = (await service.client.get(f"/v1/replays/{job['id']}")).json()
        if counted is None and job["state"] == "running":
            counted = time.monotonic() - began
            print(f"{job['total']:,} counted in {counted:.0f} s", flush=True)
            books.say("while it is counted")
        if killed is None and counted and job["queued"] > _KILLED_AT * job["total"]:
            books.say("beside the replay")
            killed = time.monotonic()
            service.process.kill()
            await service.process.wait()
            print(f"killed with {books.events:,} received", flush=True)
            await service.start()
            books.live = {pbx: [] for pbx in books.live}  # what waited for the start
    books.say("beside the replay, after the kill")
    took = time.monotonic() - began
    print({name: job[name] for name in ("state", "total", "queued", "delivered", "failed")})
    print(f"ended after {took:.0f} s", flush=True)


async def main(options: argparse.Namespace) -> None:
    key = new_key()
    books = Books(options.events)
    async with AsyncExitStack() as stack:
        loop = asyncio.get_running_loop()
        receiver = await loop.create_server(lambda: Receiver(books.note), "127.0.0.1", 0)
        dsn = await stack.enter_async_context(own_postgres())
        service = await stack.enter_async_context(_started(dsn, key, options))
        target = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
        integration = await _integrations(service.client, target)
        of = None if options.missing else integration
        since = await _fill(dsn, options.events, options.days, of)
        print(f"{options.events:,} events over {options.days} days; load {os.getloadavg()[0]:.0f}")
        tasks = [asyncio.create_task(service.watch())]
        if options.rate:
            tasks.append(asyncio.create_task(_send(service, options.rate)))
        await asyncio.sleep(_QUIET)
        books.say("before the replay")
        quiet = service.memory[-1]
        service.memory.clear()
        asked = {"since": since.isoformat(), "until": datetime.now(UTC).isoformat()}
        path = f"/v1/integrations/{integration}/replays"
        await _replay(service, books, path, asked | {"missing": options.missing})
        memory = service.memory[:]
        await asyncio.sleep(_QUIET)
        books.say("behind the replay")
        for task in tasks:
            task.cancel()
        print(
            f"MB of memory: before {quiet / 1024:.0f}; of the replay at a tenth"
            f" {memory[len(memory) // 10] / 1024:.0f}, in the middle"
            f" {memory[len(memory) // 2] / 1024:.0f}, at the end {memory[-1] / 1024:.0f},"
            f" most {max(memory) / 1024:.0f}"
        )
        print(
            f"{books.events:,} of {options.events:,} events came, {books.again} once more under the"
            f" same id, {books.under_another_id} under another id"
        )
        print(f"load {os.getloadavg()[0]:.0f}")
        receiver.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rate", type=float, default=40, help="live events a second; 0: none")
    parser.add_argument("--missing", action="store_true")
    asyncio.run(main(parser.parse_args()))
