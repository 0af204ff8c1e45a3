"""What routes are given: the services of this process, put together by the runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from hookline.api.cpu_shares import CpuShares
from hookline.api.fairness import BodyMemory, ConcurrentReads, TimeSlices
from hookline.api.rate_limits import AuthenticationThrottle, KeyRateLimits
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.ingest import Ingest
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.manual import ManualRetries, Tested
from hookline.dispatch.replays import ReplayRequests
from hookline.domain.events import Limits
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
    """Knows how the service fares, in numbers."""

    async def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""


class System(Protocol):
    """Knows how the whole service fares."""

    async def report(self) -> SystemReport:
        """Return how it fares, now or a moment ago. Raises Unavailable."""


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
