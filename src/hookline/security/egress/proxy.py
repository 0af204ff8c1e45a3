"""An operator's own proxy, through which a connection is a tunnel (CONNECT) to a vetted address.

Names are looked up and vetted here, the proxy is told an address, and TLS is spoken with the target
itself. So the guard stays whole behind it, and a proxy that only takes names can't be used.
"""

import asyncio
import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from hookline.errors import ConfigurationError
from hookline.security.egress.addresses import Address
from hookline.security.egress.errors import NotReachable

_MAX_ANSWER = 8192  # bytes of the proxy's answer to CONNECT
_OPENED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9][ \r]")
_DEFAULT_PORT = 3128


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is; `authorization` is the value of Proxy-Authorization, if it wants one."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `http://[user:password@]host[:port]`; raise ConfigurationError otherwise."""
        problem = (
            "EGRESS_PROXY must look like http://proxy.example.com:3128; https:// is not spoken."
        )
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORT
        except ValueError as error:
            raise ConfigurationError(problem) from error
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ConfigurationError(problem)
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {b64encode(pair.encode()).decode('ascii')}"
        return cls(parts.hostname, port, authorization)

    async def tunnel(self, address: Address, port: int) -> asyncio.Transport:
        """Return a transport whose other end is the address; raise NotReachable or OSError."""
        loop = asyncio.get_running_loop()
        transport, answer = await loop.create_connection(_Tunnel, self.host, self.port)
        try:
            target = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"  # noqa: PLR2004 — IPv6
            lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
            if self.authorization is not None:
                lines.append(f"Proxy-Authorization: {self.authorization}")
            transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"))
            await answer.opened
        except BaseException:
            transport.abort()
            raise
        finally:
            del answer  # an error in it would keep itself alive, by its traceback
        return transport


class _Tunnel(asyncio.Protocol):
    """Waits for the proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen = b""

    def data_received(self, data: bytes) -> None:
        """Collect the head of the answer; nothing may follow it before we have spoken."""
        self._seen += data
        if self.opened.done():
            return
        if self._seen.endswith(b"\r\n\r\n") and _OPENED.match(self._seen):
            self.opened.set_result(None)
        elif len(self._seen) > _MAX_ANSWER or b"\r\n\r\n" in self._seen:
            self.opened.set_exception(NotReachable(f"the proxy answered {self._seen[:64]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        """End the wait."""
        if not self.opened.done():
            self.opened.set_exception(NotReachable(f"the proxy closed the connection: {error}"))
