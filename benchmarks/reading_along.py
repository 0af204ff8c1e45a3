"""What readers of `/v1/stream` cost their process, and the deliveries beside them.

    .venv/bin/python benchmarks/reading_along.py [--readers 500] [--seconds 5] [--rate 100]
        [--rounds 2] [--role admin|manager]

Starts one process of the service with a Postgres of its own, and in turn without readers and with
so many of them: events at a rate, and then as many as it takes. The readers are a process of their
own; all see every delivery, half with each of two keys: an admin's, or a manager's of the company
that all events belong to. Prints how many deliveries came a second, how long they took from being
sent, how many were read, and the CPU time of the service, PostgreSQL left out.
"""

import argparse
import asyncio
import json
import os
import selectors
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx

from hookline.domain.access import new_key
from hookline.security.secrets import generate_key
from own_postgres import own_postgres
from receiving import Receiver, between

_PORT = 18_080
_COMPANY = "it_w000001"
_SENDERS = 16
_TICK = os.sysconf("SC_CLK_TCK")


class Load:
    """Sends events over some connections, and notes what becomes of them."""

    def __init__(self, key: str) -> None:
        self._head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        self._number = 0
        self.accepted = 0
        self.ages: list[float] = []  # milliseconds from being sent to being received

    def note(self, _head: bytes, body: bytes) -> None:
        """Take a delivery."""
        self.ages.append((time.time_ns() / 1000 - int(between(body, b'"sent":', b"}"))) / 1000)

    def _request(self) -> bytes:
        self._number += 1
        about = {"id": f"read-{self._number}", "pbx": "000000000001", "company": _COMPANY}
        event = about | {"time": time.time_ns() // 1_000_000, "type": "call:start"}
        body = json.dumps(event | {"data": {"sent": time.time_ns() // 1000}}).replace(" ", "")
        head = f"{self._head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return (head + body).encode()

    async def send(self, seconds: float, rate: float | None) -> None:
        """Send for so long: at a rate, or as many as it takes."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for place in range(_SENDERS):
                tasks.create_task(self._sender(place, began, seconds, rate))

    async def _sender(self, place: int, began: float, seconds: float, rate: float | None) -> None:
        clock = asyncio.get_running_loop().time
        reader, writer = await asyncio.open_connection("127.0.0.1", _PORT)
        due = began if rate is None else began + place / rate
        while max(due, clock()) < began + seconds:
            await asyncio.sleep(max(0.0, due - clock()))
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(between(head.lower(), b"content-length: ", b"\r\n")))
            self.accepted += head.startswith(b"HTTP/1.1 202")
            if rate is not None:
                due += _SENDERS / rate
        writer.close()


def read(keys: list[str], readers: int) -> None:
    """Open the streams and read until the end; print what their answers were, then the counts.

    Each line of the input asks for the counts: of deliveries, and of streams that ended.
    """
    poll = selectors.DefaultSelector()
    poll.register(sys.stdin, selectors.EVENT_READ)
    waiting: set[socket.socket] = set()
    for number in range(readers):
        address = f"127.0.0.{2 + number // 100}"  # one address has a share of the connections
        stream = socket.create_connection(("127.0.0.1", _PORT), source_address=(address, 0))
        key = keys[number % len(keys)]
        head = f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        stream.sendall(head.encode())
        poll.register(stream, selectors.EVENT_READ)
        waiting.add(stream)
    statuses: Counter[str] = Counter()
    deliveries = ended = 0
    while True:
        for chosen, _ in poll.select():
            source = chosen.fileobj
            if not isinstance(source, socket.socket):
                if not sys.stdin.readline():
                    return
                print(json.dumps([deliveries, ended]), flush=True)
                continue
            chunk = source.recv(1 << 20)
            if source in waiting and chunk:
                waiting.remove(source)
                statuses[chunk.split(b"\r\n", 1)[0].decode()] += 1
                if not waiting:
                    print(json.dumps(statuses), flush=True)
            deliveries += chunk.count(b"event: delivery")
            if not chunk:
                ended += 1
                poll.unregister(source)
                source.close()


class Reading:
    """The process that reads; None where nobody does."""

    def __init__(self, process: asyncio.subprocess.Process | None) -> None:
        self._process = process

    async def counts(self) -> tuple[int, int]:
        """Return how many deliveries were read, and how many streams have ended."""
        if self._process is None:
            return 0, 0
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.write(b"\n")
        deliveries, ended = await _line(self._process)
        return deliveries, ended


async def _line(process: asyncio.subprocess.Process) -> list[int]:
    assert process.stdout is not None  # noqa: S101 - a pipe
    found: list[int] = json.loads(await process.stdout.readline())
    return found


@asynccontextmanager
async def reading(keys: list[str], readers: int) -> AsyncIterator[Reading]:
    """Have so many streams read meanwhile."""
    if not readers:
        yield Reading(None)
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *("--readers", str(readers), "--keys", ",".join(keys)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    print(await _line(process))
    try:
        yield Reading(process)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


async def _phase(  # noqa: PLR0913, PLR0917 - what is measured, and how
    name: str, pid: int, load: Load, reads: Reading, seconds: float, rate: float | None
) -> None:
    load.ages.clear()
    accepted, (before, _) = load.accepted, await reads.counts()
    cpu, began = _cpu(pid), time.monotonic()
    await load.send(seconds, rate)
    while len(load.ages) < load.accepted - accepted:  # noqa: ASYNC110 - what is on its way
        await asyncio.sleep(0.01)
    passed = time.monotonic() - began
    used = (_cpu(pid) - cpu) / passed
    after, ended = await reads.counts()
    ages = sorted(load.ages) or [0.0]
    print(
        f"{name:>32}: {len(load.ages) / passed:7.0f} deliveries/s, median"
        f" {statistics.median(ages):6.1f}, p99 {ages[int(len(ages) * 0.99)]:6.1f} ms;"
        f" {(after - before) / passed:8.0f} read/s, {ended} ended; {used * 1000:4.0f} ms of CPU/s",
        flush=True,
    )


async def main(options: argparse.Namespace) -> None:
    key = new_key()
    load = Load(key)
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
        loop = asyncio.get_running_loop()
        receiver = await loop.create_server(lambda: Receiver(load.note), "127.0.0.1", 0)
        keys = await _prepare(client, receiver.sockets[0].getsockname()[1], options.role)
        await load.send(2.0, None)  # warm
        for _ in range(options.rounds):
            for readers in (0, options.readers):
                async with reading(keys, readers) as reads:
                    for rate in (options.rate, None):
                        name = f"{readers} readers, {rate or 'all it takes'}"
                        await _phase(name, service.pid, load, reads, options.seconds, rate)
        print(f"load {os.getloadavg()[0]:.0f}")
        receiver.close()


async def _prepare(client: httpx.AsyncClient, port: int, role: str) -> list[str]:
    """Make the integration, and the keys that the readers have."""
    wanted = {"type": "WEBHOOK", "url": f"http://127.0.0.1:{port}/"}
    made = await client.post(
        "/v1/integrations",
        json={"pbx": "000000000001", "transmission": wanted, "events": {"call": "all"}}
        | {"company": _COMPANY},
    )
    made.raise_for_status()
    asked = {"role": role} | ({} if role == "admin" else {"company": _COMPANY})
    answers = [await client.post("/v1/keys", json=asked) for _ in range(2)]
    return [answer.raise_for_status().json()["key"] for answer in answers]


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=100, help="events a second")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--role", choices=("admin", "manager"), default="admin")
    parser.add_argument("--keys", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.keys:
        read(asked.keys.split(","), asked.readers)
    else:
        asyncio.run(main(asked))
