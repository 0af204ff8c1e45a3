"""How the benchmark's own processes are told what to do: a JSON line in, a JSON line out."""

import asyncio
import contextlib
import gc
import json
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Json = dict[str, Any]  # an order's arguments or its answer, read by name
LONGEST_LINE = 1 << 24  # bytes: the secrets of many integrations are one order
Command = Callable[..., Awaitable[Json]]


async def obey(commands: Mapping[str, Command]) -> None:
    """Carry out orders, one after another, until whoever gives them closes the line."""
    _allow_many_sockets()
    gc.freeze()
    gc.disable()  # what is kept here lives until the end; a pause would be measured as latency
    orders = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order: Json = json.loads(line)
        answer = await commands[order.pop("do")](**order)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _allow_many_sockets() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a bound that it does not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
