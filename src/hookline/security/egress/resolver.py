"""Names into addresses, off the event loop, so that a dead name server costs only its own targets.

A lookup occupies a thread for as long as the system's resolver pleases. Lookups of one name
share one thread, and a name that was slow before waits in a small pool of its own.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from hookline.security.egress.addresses import Address, parse_address

Resolve: TypeAlias = Callable[[str], Awaitable[tuple[Address, ...]]]

_THREADS = 32  # lookups at a time
_SLOW_THREADS = 8  # the same, of names that were slow before
_SLOW = 2.0  # seconds after which a name counts as slow
_REMEMBERED = 4096  # slow names


class NameNotResolved(Exception):
    """The name has no address, or its name servers do not say so in time."""


class SystemResolver:
    """Asks the system's resolver, and so honours its hosts file, search list and name servers."""

    def __init__(self) -> None:
        self._usual = ThreadPoolExecutor(_THREADS, thread_name_prefix="resolve")
        self._slow = ThreadPoolExecutor(_SLOW_THREADS, thread_name_prefix="resolve-slow")
        self._slow_names: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Future[tuple[Address, ...]]] = {}

    async def __call__(self, host: str) -> tuple[Address, ...]:
        """Return every address of the name; raise NameNotResolved when there is none."""
        lookup = self._running.get(host)
        if lookup is None:
            lookup = self._start(host)
        return await asyncio.shield(lookup)

    def close(self) -> None:
        """Start no further lookups; those under way end by themselves."""
        for pool in (self._usual, self._slow):
            pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, host: str) -> asyncio.Future[tuple[Address, ...]]:
        loop = asyncio.get_running_loop()
        started = loop.time()
        pool = self._slow if host in self._slow_names else self._usual
        lookup = loop.run_in_executor(pool, _addresses_of, host)
        self._running[host] = lookup

        def ended(done: asyncio.Future[tuple[Address, ...]]) -> None:
            del self._running[host]
            self._remember(host, slow=loop.time() - started > _SLOW)
            if not done.cancelled():
                done.exception()  # nobody may be waiting any more

        lookup.add_done_callback(ended)
        return lookup

    def _remember(self, host: str, *, slow: bool) -> None:
        self._slow_names.pop(host, None)
        if slow:
            self._slow_names[host] = None
        if len(self._slow_names) > _REMEMBERED:
            self._slow_names.popitem(last=False)


def _addresses_of(host: str) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(f"{host}: {error}") from error
    # A link-local answer carries its zone behind a %; it stays on, and is refused for it.
    unique = dict.fromkeys(str(entry[4][0]) for entry in found)
    return tuple(parse_address(text) for text in unique)
