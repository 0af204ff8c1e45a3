"""What readers of `/v1/stream` cost their process, and the deliveries beside them.

    .venv/bin/python benchmarks/reading_along.py [--readers 500] [--seconds 10] [--rate 50]

Starts one process of the service with a Postgres of its own, opens the streams, half with each of
two admin keys, and sends events at a rate to a receiver here: without readers, with them and no
event, and with both. Prints the CPU time of the service (PostgreSQL and this program left out) a
second, how many deliveries ended and how many were read.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx

from hookline.security.keys import new_key
from hookline.security.secrets import generate_key
from own_postgres import own_postgres

_PORT = 18_080
_PBX = "000000000001"
_TICK = os.sysconf("SC_CLK_TCK")


def _event(number: int) -> dict[str, object]:
    about = {"id": f"read-{number}", "pbx": _PBX, "company": "it_w000001", "time": 1721836787753}
    return {**about, "type": "call:start", "data": {"n": number}}


class _Readers:
    """Streams that are open; counts what they are sent."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.all_open = asyncio.Event()
        self.deliveries = 0
        self.ended = 0
        self.statuses: Counter[str] = Counter()

    async def read(self, key: str, number: int) -> None:
        address = f"127.0.0.{2 + number // 100}"  # one address has a share of the connections
        where = ("127.0.0.1", _PORT)
        reader, writer = await asyncio.open_connection(*where, local_addr=(address, 0))
        head = f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        writer.write(head.encode())
        status = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        self.statuses[status] += 1
        if self.statuses.total() == self._expected:
            self.all_open.set()
        try:
            while chunk := await reader.read(262_144):
                self.deliveries += chunk.count(b"event: delivery")
        finally:
            self.ended += 1
            writer.close()


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    writer.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


async def _phase(
    name: str, pid: int, client: httpx.AsyncClient, readers: _Readers, options: argparse.Namespace
) -> None:
    rate = 0 if name == "readers alone" else options.rate
    before, read = _cpu(pid), readers.deliveries
    began = asyncio.get_running_loop().time()
    sent = 0
    while (passed := asyncio.get_running_loop().time() - began) < options.seconds:
        if (due := int(passed * rate) - sent) > 0:
            events = [_event(int(began * 1e6) + sent + number) for number in range(due)]
            answer = await client.post("/v1/events/batch", json={"events": events})
            answer.raise_for_status()
            sent += due
        await asyncio.sleep(0.1)
    used = (_cpu(pid) - before) / passed
    print(
        f"{name:>24}: {used * 1000:6.1f} ms of CPU a second, {sent / passed:6.1f} events/s, "
        f"{(readers.deliveries - read) / passed:9.1f} frames/s read, {readers.ended} ended"
    )


async def main() -> None:
    options = _options()
    key = new_key()
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(own_postgres())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = {
            "HOOKLINE_DATABASE_URL": dsn,
            "HOOKLINE_ENCRYPTION_KEYS": generate_key(),
            "HOOKLINE_ADMIN_KEY": key,
            "HOOKLINE_PORT": str(_PORT),
            "HOOKLINE_MAX_STREAMS": str(2 * options.readers),
            "HOOKLINE_DATA_DIR": folder,
            "HOOKLINE_EGRESS_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        service = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("hookline"),
            "serve",
            env=os.environ | settings,
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            cwd=folder,
        )
        stack.push_async_callback(service.wait)
        stack.callback(service.terminate)
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{_PORT}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            )
        )
        await _ready(client)
        receiver = await asyncio.start_server(_receive, "127.0.0.1", 0)
        target = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
        wanted = {"type": "WEBHOOK", "url": target}
        await client.post(
            "/v1/integrations",
            json={"pbx": _PBX, "transmission": wanted, "events": {"call": "all"}},
        )
        readers = _Readers(options.readers)
        await _phase("events alone", service.pid, client, readers, options)
        other = (await client.post("/v1/keys", json={"role": "admin"})).json()["key"]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(readers.read(key if number % 2 else other, number))
                for number in range(options.readers)
            ]
            await readers.all_open.wait()
            print(dict(readers.statuses))
            await _phase("readers alone", service.pid, client, readers, options)
            await _phase("events with readers", service.pid, client, readers, options)
            for task in tasks:
                task.cancel()
        receiver.close()


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.2)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=50, help="events a second")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
