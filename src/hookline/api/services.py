"""What routes are given: the services of this process, put together by the runtime."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from hookline.api.authentication_throttle import Strangers
from hookline.api.fairness import BodyMemory
from hookline.api.ports import Metrics, Readiness, System, Tester
from hookline.api.rate_limits import Allowances
from hookline.api.reads import Reads
from hookline.api.timeslices import TimeSlices
from hookline.dispatch.filter_trials import FilterTrials
from hookline.dispatch.ingest import Accepts
from hookline.dispatch.ingest_authorisation import IngestAuthorisation
from hookline.dispatch.manual_retry import ManualRetries
from hookline.dispatch.replay_requests import ReplayRequests
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
    strangers: Strangers
    allowances: Allowances
    bodies: BodyMemory
    reads: Reads
    time_slices: TimeSlices
    limits: Limits
    ingest: Accepts
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


ServicesDep = Annotated[Services, Depends(services_of)]
