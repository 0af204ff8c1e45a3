"""What endpoints depend on: this process's services, and whose key a request has."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from hookline.api.cpu_shares import CpuShares
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.middleware import note_caller
from hookline.api.rate_limits import AuthenticationThrottle, KeyRateLimits
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation, IngestCaller
from hookline.dispatch.manual import ManualRetries, Tested
from hookline.dispatch.replays import ReplayRequests
from hookline.domain.access import Principal, Role
from hookline.domain.events import Limits
from hookline.errors import Forbidden, NotAuthenticated
from hookline.history.jobs import Jobs
from hookline.history.repository import History
from hookline.history.statistics import StatisticsReader
from hookline.history.streams import Streams
from hookline.integrations.event_types import EventTypeService, UnknownTypes
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.pbxs import PbxService
from hookline.integrations.service import IntegrationService
from hookline.metrics.system import SystemReport


class Tester(Protocol):
    """Sends the catalogue's example of a type to an integration, once and now."""

    async def test(self, integration_id: str, event_type: str) -> Tested:
        """Send and wait for the outcome.

        Raises NotFound where the integration is gone meanwhile, and Overloaded while as many are
        under way as may be.
        """


class Metrics(Protocol):
    """Makes the metrics' text."""

    async def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""


class System(Protocol):
    """Makes the report on the whole service."""

    async def report(self) -> SystemReport:
        """Return the report, at most a second old. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be well for a process to be sent requests."""

    name: str
    ok: bool
    detail: str


class Readiness(Protocol):
    """Knows whether this process can do its work."""

    async def checks(self) -> Sequence[Check]:
        """Ask the database, its migrations and the engine; each answer within two seconds."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that routes call."""

    integrations: IntegrationService
    pbxs: PbxService
    keys: KeyCache
    key_records: KeyService
    event_types: EventTypeService
    unknown_types: UnknownTypes
    ingest_authorisation: IngestAuthorisation
    authentication_throttle: AuthenticationThrottle
    rate_limits: KeyRateLimits
    bodies: BodyMemory
    reads: ConcurrentReads
    cpu_shares: CpuShares
    time_slices: TimeSlices
    limits: Limits
    ingest: Ingest
    history: History
    statistics: StatisticsReader
    streams: Streams
    retries: ManualRetries
    jobs: Jobs
    replays: ReplayRequests
    tester: Tester
    trials: FilterTrials
    readiness: Readiness
    system: System
    metrics: Metrics


def services_of(request: Request) -> Services:
    """Return the services that the lifespan opened."""
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    return services_of(request)  # FastAPI runs what is not async in a thread


ServicesDep = Annotated[Services, Depends(_services)]


_BEARER = HTTPBearer(scheme_name="bearer", auto_error=False)
"""For the document alone, which says of each operation which roles it takes."""


async def authenticate(request: Request) -> Principal:
    """Return who sends the request, asked once a request; raise NotAuthenticated or Overloaded."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        services = services_of(request)
        known = await _identified(request, services.keys.authenticate)
        services.rate_limits.spend_request(known, request.method)
        request.state.principal = known
    return known


async def authenticate_event_sender(request: Request) -> IngestCaller:
    """Return who sends events, from memory; raise NotAuthenticated, Forbidden or Overloaded."""
    services = services_of(request)
    principal = await _identified(request, services.keys.authenticate_from_memory)
    shares = services.cpu_shares
    caller = await services.ingest_authorisation.authorise(principal, shares.rest_after(principal))
    services.rate_limits.spend_event(principal)
    await shares.throttle(principal)
    return caller


async def _identified(
    request: Request, find: Callable[[str | None], Awaitable[Principal]]
) -> Principal:
    """Return whose key is in this request's header; every wrong key is counted."""
    throttle = services_of(request).authentication_throttle
    await throttle.check(request)
    try:
        principal = await find(_authorization(request))
    except NotAuthenticated:
        throttle.count_refused(request)
        raise
    note_caller(request.scope, principal)
    return principal


def _authorization(request: Request) -> str | None:
    """Return the header as it came; Starlette's own look-up decodes all the others as well."""
    found: bytes | None = None
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if found is not None:  # a proxy may have gone by the other one
                raise NotAuthenticated("Send the header Authorization once.")
            found = value
    return None if found is None else found.decode("latin-1")


def require(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that lets these roles pass and gives who it is."""

    async def allowed(
        request: Request, _documented: Annotated[object, Security(_BEARER, scopes=roles)]
    ) -> Principal:
        principal = await authenticate(request)
        if principal.role not in roles:
            wanted = " or ".join(f"{role.value!r}" for role in roles)
            raise Forbidden(f"This takes a key with the role {wanted}.")
        return principal

    return allowed


Manager = Annotated[Principal, Depends(require(Role.ADMIN, Role.MANAGER))]
"""Who may look after integrations and deliveries, each inside its scope."""

Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
"""Who may do everything."""

AnyRole = Annotated[Principal, Depends(require(*Role))]
"""Whoever has a valid key."""
