"""The egress policy: what may be connected to, checked at save and at every connect."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from hookline.errors import FieldProblem, InvalidInput
from hookline.logs import get_logger
from hookline.security.egress.addresses import Address, Network, in_networks, why_refused
from hookline.security.egress.resolver import (
    KEPT_SECONDS,
    DnsResolver,
    Lookups,
    NameNotResolved,
    Resolve,
)
from hookline.security.egress.urls import (
    MAX_PORT,
    URL_PATH,
    BadHost,
    Endpoint,
    Origin,
    literal_address,
    normal_host,
    parse_url,
)

log = get_logger(__name__)

_PATIENCE_AT_SAVE = 1.5  # seconds; a form should not wait for a dead name server
_SAVES_PER_TENANT = 8  # look-ups under way
_DELIVERIES_PER_TENANT = (
    64  # look-ups under way: of names that are not known, once every few seconds
)
_LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))


@dataclass(frozen=True, slots=True)
class Vetted:
    """Every address of the host, each one allowed; connect to these and to nothing else."""

    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing may be connected to. `why` is for the operator's log, never for a customer."""

    why: str


@dataclass(frozen=True, slots=True)
class Unresolved:
    """The name has no address at present."""

    why: str


class EgressPolicy:
    """Public addresses over HTTPS, and besides them what the operator allowed.

    `allowed_networks` may be connected to although they are not public, and are the only ones that
    plain `http://` may go to. `resolve` asks the system's name servers unless another is given;
    `keep`: seconds for which its answers count. Saves and deliveries look names up apart, a bounded
    number at a time for each tenant: neither holds up the other, and no tenant another one.
    """

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        *,
        resolve: Resolve | None = None,
        keep: float = KEPT_SECONDS,
    ) -> None:
        self._allowed = tuple(allowed_networks)
        resolve = resolve or DnsResolver()
        self._saves = Lookups(resolve, per_tenant=_SAVES_PER_TENANT, keep=keep)
        self._deliveries = Lookups(resolve, per_tenant=_DELIVERIES_PER_TENANT, keep=keep)

    def check_url(self, url: str) -> Endpoint:
        """Vet what the URL itself says, without I/O; raise InvalidInput with a sentence."""
        endpoint = parse_url(url)
        if endpoint.origin.scheme == "http" and not self._allowed:
            raise _not_encrypted()
        addresses = self._literals(endpoint.origin.host)
        if addresses and isinstance(verdict := self._judge(endpoint.origin, addresses), Blocked):
            raise self._refused(endpoint.origin, verdict)
        return endpoint

    async def check_target(self, url: str, tenant: str = "") -> Endpoint:
        """Vet the URL and, as they are now, the addresses of its name; raise InvalidInput.

        A name without an address is let through: its entry may be on its way, each attempt asks
        again, and an attempt says `dns`. The lookup takes 1.5 seconds at most.
        """
        endpoint = self.check_url(url)
        try:
            async with asyncio.timeout(_PATIENCE_AT_SAVE):
                verdict = await self._vet(endpoint.origin, self._saves, tenant)
        except TimeoutError:
            return endpoint
        if isinstance(verdict, Blocked):
            raise self._refused(endpoint.origin, verdict)
        return endpoint

    async def vet(self, origin: Origin, tenant: str = "") -> Vetted | Blocked | Unresolved:
        """Look the host up and judge every address of it: one bad one refuses them all.

        Bound its time from outside. What is connected to must be the addresses returned here; the
        name must not be looked up again. `tenant`: whose share of look-ups it takes.
        """
        return await self._vet(origin, self._deliveries, tenant)

    def close(self) -> None:
        """Wait for no look-up any more."""
        self._saves.close()
        self._deliveries.close()

    async def _vet(
        self, origin: Origin, lookups: Lookups, tenant: str
    ) -> Vetted | Blocked | Unresolved:
        if origin.scheme != "https" and not self._allowed:
            return Blocked("plain http, and no network is allowed")
        if not 1 <= origin.port <= MAX_PORT:
            return Blocked(f"{origin.port} is no port")
        try:
            host = normal_host(f"[{origin.host}]" if ":" in origin.host else origin.host)
        except BadHost as problem:
            return Blocked(str(problem))
        if addresses := self._literals(host):
            return self._judge(origin, addresses)
        try:
            addresses = await lookups.addresses(host, tenant)
        except NameNotResolved as problem:
            return Unresolved(str(problem))
        return self._judge(origin, addresses) if addresses else Unresolved(f"{host}: no address")

    def _literals(self, host: str) -> tuple[Address, ...]:
        """Return the addresses that are known without a lookup: literals and `localhost`."""
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: loopback, never DNS
            return tuple(a for a in _LOOPBACK if in_networks(a, self._allowed)) or _LOOPBACK
        address = literal_address(host)
        return () if address is None else (address,)

    def _judge(self, origin: Origin, addresses: Sequence[Address]) -> Vetted | Blocked:
        for address in addresses:
            if why := why_refused(address, self._allowed):
                return Blocked(f"{address}: {why}")
            if origin.scheme != "https" and not in_networks(address, self._allowed):
                return Blocked(f"{address}: plain http to an address outside the allowed networks")
        return Vetted(tuple(addresses))

    def _refused(self, origin: Origin, verdict: Blocked) -> InvalidInput:
        log.warning("egress.refused", host=origin.host, port=origin.port, why=verdict.why)
        if origin.scheme != "https":
            return _not_encrypted()
        message = (
            "The URL leads to an address that is not public. Give one that can be reached from "
            "the internet, or ask the operator to allow its network."
        )
        return InvalidInput(FieldProblem(URL_PATH, message))


def _not_encrypted() -> InvalidInput:
    message = (
        "The URL must begin with https://. Plain http:// is accepted only for networks that the "
        "operator has allowed."
    )
    return InvalidInput(FieldProblem(URL_PATH, message))
