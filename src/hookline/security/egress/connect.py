"""Opens a connection to one vetted address, and never to a name."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from hookline.security.egress.addresses import Address
from hookline.security.egress.connection import Connection
from hookline.security.egress.failures import ConnectionLost, NotReachable, TlsFailed
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.targets import Origin

_ADDRESSES_TRIED = 4  # of one name; its list may be endless
_PATIENCE = 1.0  # seconds for an address while there is another one to try
_OUT_OF_THE_WAY = 3600.0  # seconds; asyncio's own bound on TLS, since the caller has a deadline
_GOODBYE = 1.0  # seconds that a target gets to agree on the end of TLS


class Connector:
    """Connects, agrees on TLS for the origin's name, and says what went wrong in our words.

    `keep` and `read` bound each answer's body; see Connection.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Proxy | None, *, keep: int, read: int) -> None:
        self._tls = tls
        self._proxy = proxy
        self._keep = keep
        self._read = read

    async def connect(self, origin: Origin, addresses: tuple[Address, ...]) -> Connection:
        """Return a connection to the first of the addresses that can be reached.

        Raises NotReachable, TlsFailed or ConnectionLost.
        """
        *others, last = addresses[:_ADDRESSES_TRIED]
        for address in others:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await self._open(origin, address)
            except (TimeoutError, NotReachable):
                continue
        return await self._open(origin, last)

    async def _open(self, origin: Origin, address: Address) -> Connection:
        with _failures():
            if self._proxy is not None:
                return await self._open_through(self._proxy, origin, address)
            secure = origin.scheme == "https"
            _, connection = await asyncio.get_running_loop().create_connection(
                self._new,
                str(address),
                origin.port,
                ssl=self._tls if secure else None,
                server_hostname=origin.host if secure else None,
                ssl_handshake_timeout=_OUT_OF_THE_WAY if secure else None,
                ssl_shutdown_timeout=_GOODBYE if secure else None,
            )
            return connection

    async def _open_through(self, proxy: Proxy, origin: Origin, address: Address) -> Connection:
        tunnel = await proxy.tunnel(address, origin.port)
        connection = self._new()
        if origin.scheme != "https":
            tunnel.set_protocol(connection)
            connection.connection_made(tunnel)
            return connection
        try:
            secured = await asyncio.get_running_loop().start_tls(
                tunnel,
                connection,
                self._tls,
                server_hostname=origin.host,
                ssl_handshake_timeout=_OUT_OF_THE_WAY,
                ssl_shutdown_timeout=_GOODBYE,
            )
        except BaseException:
            tunnel.abort()
            raise
        if secured is None:
            raise ConnectionLost("the tunnel was closed", silent=False)
        connection.connection_made(secured)
        return connection

    def _new(self) -> Connection:
        return Connection(keep=self._keep, read=self._read)


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what sockets and TLS raise into our failures."""
    try:
        yield
    except (ssl.SSLError, ssl.CertificateError) as error:  # an OSError too, so it comes first
        raise TlsFailed(str(error)) from error
    except ConnectionRefusedError as error:
        raise NotReachable(str(error)) from error
    except ConnectionError as error:  # reset while TLS was being agreed on
        raise ConnectionLost(str(error), silent=False) from error
    except OSError as error:
        raise NotReachable(str(error)) from error
