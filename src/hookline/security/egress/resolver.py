"""Names into addresses, off the event loop, so that a dead name server costs only its own targets.

A lookup occupies a thread for as long as the system's resolver pleases. Lookups of one name
share one thread, and names that were slow before share a few threads of their own.
"""

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from hookline.security.egress.addresses import Address, parse_address

Addresses: TypeAlias = tuple[Address, ...]
Resolve: TypeAlias = Callable[[str], Awaitable[Addresses]]

_THREADS = 32  # lookups at a time
_SLOW_THREADS = 8  # the same, of names that were slow before
_SLOW = 2.0  # seconds after which a name counts as slow
_REMEMBERED = 4096  # slow names


class NameNotResolved(Exception):
    """The name has no address, or its name servers do not say so in time."""


class SystemResolver:
    """Asks the system's resolver, and so honours its hosts file, search list and name servers."""

    def __init__(self) -> None:
        self._usual = asyncio.Semaphore(_THREADS)
        self._slow = asyncio.Semaphore(_SLOW_THREADS)
        self._slow_names: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Task[Addresses]] = {}

    async def __call__(self, host: str) -> Addresses:
        """Return every address of the name; raise NameNotResolved when there is none."""
        lookup = self._running.get(host)
        if lookup is None:
            lookup = self._running[host] = asyncio.create_task(self._look_up(host))
            lookup.add_done_callback(lambda done: self._ended(host, done))
        return await asyncio.shield(lookup)

    def close(self) -> None:
        """Wait for nothing any more; a thread that is still asking keeps no process alive."""
        for lookup in self._running.values():
            lookup.cancel()

    async def _look_up(self, host: str) -> Addresses:
        loop = asyncio.get_running_loop()
        async with self._slow if host in self._slow_names else self._usual:
            started = loop.time()
            try:
                return await _in_a_thread(host)
            finally:
                self._remember(host, slow=loop.time() - started > _SLOW)

    def _ended(self, host: str, lookup: asyncio.Task[Addresses]) -> None:
        del self._running[host]
        if not lookup.cancelled():
            lookup.exception()  # nobody may be waiting any more

    def _remember(self, host: str, *, slow: bool) -> None:
        self._slow_names.pop(host, None)
        if slow:
            self._slow_names[host] = None
        if len(self._slow_names) > _REMEMBERED:
            self._slow_names.popitem(last=False)


async def _in_a_thread(host: str) -> Addresses:
    """Look up in a daemon thread: an executor's would hold up the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Addresses] = loop.create_future()

    def settle(addresses: Addresses, error: NameNotResolved | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(addresses)
        else:
            answer.set_exception(error)

    def look_up() -> None:
        addresses, error = (), None  # type: tuple[Addresses, NameNotResolved | None]
        try:
            addresses = _addresses_of(host)
        except NameNotResolved as problem:
            error = problem
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, addresses, error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await answer


def _addresses_of(host: str) -> Addresses:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(f"{host}: {error}") from error
    # A link-local answer carries its zone behind a %; it stays on, and is refused for it.
    unique = dict.fromkeys(str(entry[4][0]) for entry in found)
    return tuple(parse_address(text) for text in unique)
