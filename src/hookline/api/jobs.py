"""Replays and erasures: durable jobs over the events of an integration, a PBX or a company."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Admin, Manager, ServicesDep
from hookline.api.integrations import IntegrationPath
from hookline.api.openapi.examples import NEW_ERASURE, NEW_REPLAY
from hookline.api.parameters import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Timestamp,
    decode_cursor,
    existing_id,
    page_of,
)
from hookline.api.responses import failures, job_started, job_started_or_counted
from hookline.db.models import Job
from hookline.dispatch import erasures as erasure_jobs
from hookline.dispatch import replays as replay_jobs
from hookline.dispatch.erasures import WantedErasure
from hookline.dispatch.replays import WantedReplay
from hookline.errors import FieldProblem, InvalidInput
from hookline.history.jobs import EndStatus, JobKind, JobState, new_job
from hookline.history.schemas import Erasure, ErasurePage, Replay, ReplayPage, ReplayStart
from hookline.integrations.fields import (
    NULL_IS_DEFAULT,
    PRINTABLE,
    CompanyId,
    PbxSerial,
    RateLimit,
    RequestDocument,
    Switch,
)

replays = APIRouter(prefix="/v1", tags=["Replays"], route_class=JsonRoute)

ReplayPath = Annotated[
    str,
    Path(
        description="The replay's id.",
        json_schema_extra={"format": "uuid"},
    ),
]


class ReplayCreate(RequestDocument):
    """What to send again, to one integration."""

    since: Timestamp = Field(
        description="From when on (RFC 3339; UTC where it names no zone). It must be within the "
        "days that events are kept.",
        examples=["2026-01-31T12:00:00Z"],
    )
    until: Timestamp = Field(
        description="Up to, and without, when; later than now means now.",
        examples=["2026-01-31T18:00:00Z"],
    )
    statuses: list[EndStatus] | None = Field(
        None,
        min_length=1,
        max_length=3,
        description="Only deliveries that ended so, `failed` say. Left out: however they ended.",
        examples=[["failed"]],
    )
    types: list[Annotated[str, Field(min_length=1, max_length=128), PRINTABLE]] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Only these types of events. Left out: all of them.",
        examples=[["call:completed"]],
    )
    missing: Annotated[Switch, NULL_IS_DEFAULT] = Field(
        default=False,
        description="Send also the events of the integration's PBX or company that it has no "
        "delivery of, from before it existed or while it was disabled, and would get today.",
    )
    rate_limit: RateLimit | None = Field(
        default_factory=lambda: None,  # a default that isn't described: null has a meaning here
        description="How many deliveries a second are queued at most. `null`: as many as it takes.",
        examples=[20],
    )
    dry_run: Annotated[Switch, NULL_IS_DEFAULT] = Field(
        default=False, description="Only count; nothing is queued, and the answer is a 200."
    )

    def wanted(self) -> WantedReplay:
        """Return what the replay is about."""
        return WantedReplay(
            self.since,
            self.until,
            tuple(dict.fromkeys(self.statuses or EndStatus)),
            None if self.types is None else tuple(dict.fromkeys(self.types)),
            self.missing,
        )


@replays.post(
    "/integrations/{integration_id}/replays",
    status_code=202,
    response_model=ReplayStart,
    responses=job_started_or_counted(
        ReplayStart, "/v1/replays/0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57"
    )
    | failures(400, 403, 404, 409, 413, 415, 422),
)
async def start_replay(
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    asked: Annotated[ReplayCreate, Body(openapi_examples=NEW_REPLAY)],
    response: Response,
) -> Replay | Response:
    """Send an integration's events again.

    What ended between `since` and `until`, by the moment when it was queued, is queued once more:
    the original bytes under a new delivery id, each event once, with the header
    `x-hookline-replay`. An event that was delivered since, or is pending, is not sent again because
    an earlier delivery of it failed. It is a durable job: counted first, then queued in the order
    of acceptance while little else of the integration waits, so that new events are hardly
    delayed. An integration has one unfinished replay at a time; another one is a 409.
    """
    if asked.dry_run:
        counted = await services.replays.count(caller, integration_id, asked.wanted())
        return Response(counted.model_dump_json(by_alias=True), media_type="application/json")
    job = await services.replays.start(caller, integration_id, asked.wanted(), asked.rate_limit)
    response.headers["Location"] = f"/v1/replays/{job.id}"
    return _replay(job)


@replays.get("/integrations/{integration_id}/replays", responses=failures(403, 404, 422))
async def list_replays(
    *,
    caller: Manager,
    services: ServicesDep,
    integration_id: IntegrationPath,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ReplayPage:
    """List an integration's replays, newest first.

    Finished ones are listed for as long as events are kept.
    """
    listing = ("replays", integration_id)
    found = await services.jobs.replays(
        caller, integration_id, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    items, following = page_of(listing, found, limit, lambda each: each.id)
    return ReplayPage(items=[_replay(job) for job in items], next=following)


@replays.get("/replays/{replay_id}", responses=failures(403, 404, 422))
async def get_replay(*, caller: Manager, services: ServicesDep, replay_id: ReplayPath) -> Replay:
    """Read how far a replay has come."""
    found = existing_id(replay_id, "replay")
    return _replay(await services.jobs.read(caller, found, JobKind.REPLAY))


@replays.post("/replays/{replay_id}/cancel", responses=failures(400, 403, 404, 413, 415, 422))
async def cancel_replay(*, caller: Manager, services: ServicesDep, replay_id: ReplayPath) -> Replay:
    """Cancel a replay.

    Nothing more of it is queued; what was queued already is delivered. One that is finished stays
    as it is.
    """
    found = existing_id(replay_id, "replay")
    return _replay(await services.jobs.cancel(caller, found, JobKind.REPLAY))


erasures = APIRouter(prefix="/v1/erasures", tags=["Erasures"], route_class=JsonRoute)

ErasurePath = Annotated[
    str,
    Path(description="The erasure's id.", json_schema_extra={"format": "uuid"}),
]


class ErasureCreate(RequestDocument):
    """Whose events to erase: a PBX's or a company's."""

    pbx: PbxSerial | None = Field(None, description="The PBX whose events are erased.")
    company: CompanyId | None = Field(
        None, description="The company whose events are erased, those of its PBXs too."
    )
    subject: Annotated[str, Field(min_length=1, max_length=255), PRINTABLE] | None = Field(
        None,
        description="Only events whose envelope has this `id`, such as those of one call.",
        examples=["1721836787.1"],
    )
    before: Timestamp | None = Field(
        None,
        description="Only what was accepted before this time (RFC 3339; UTC where it names no "
        "zone). Left out, or later than now: now.",
        examples=["2026-01-31T12:00:00Z"],
    )

    @field_validator("pbx", "company", "subject", "before", mode="before")
    @classmethod
    def _is_said(cls, value: object) -> object:
        """Refuse null: taken for a field that was left out, it would erase more than was meant."""
        if value is None:
            raise PydanticCustomError("null", "Send a value, or leave the field out.")
        return value


@erasures.post(
    "",
    status_code=202,
    responses=job_started("/v1/erasures/0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57")
    | failures(400, 403, 413, 415, 422),
)
async def start_erasure(
    *,
    caller: Admin,
    services: ServicesDep,
    asked: Annotated[ErasureCreate, Body(openapi_examples=NEW_ERASURE)],
    response: Response,
) -> Erasure:
    """Erase events, for good.

    Their payloads, and the bodies that receivers answered, are destroyed; the log of what was sent
    when, and how it ended, stays. What still waits ends as skipped, `erased`. An attempt that is
    under way is finished, and not retried. It is a durable job, and cannot be undone.
    """
    if (asked.pbx is None) == (asked.company is None):
        message = "Name either a PBX or a company."
        raise InvalidInput(FieldProblem("pbx", message), FieldProblem("company", message))
    now = datetime.now(UTC)
    wanted = WantedErasure(asked.pbx, asked.company, asked.subject, min(asked.before or now, now))
    job = await services.jobs.start(
        new_job(
            JobKind.ERASURE,
            first=wanted.first,
            beyond=wanted.beyond,
            asked=wanted.as_document(),
            principal=caller,
        )
    )
    response.headers["Location"] = f"/v1/erasures/{job.id}"
    return _erasure(job)


@erasures.get("", responses=failures(403, 422))
async def list_erasures(
    *,
    _caller: Admin,
    services: ServicesDep,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ErasurePage:
    """List erasures, newest first.

    Finished ones are listed for as long as events are kept.
    """
    listing = ("erasures",)
    found = await services.jobs.erasures(before=decode_cursor(listing, cursor), limit=limit + 1)
    items, following = page_of(listing, found, limit, lambda each: each.id)
    return ErasurePage(items=[_erasure(job) for job in items], next=following)


@erasures.get("/{erasure_id}", responses=failures(403, 404, 422))
async def get_erasure(*, caller: Admin, services: ServicesDep, erasure_id: ErasurePath) -> Erasure:
    """Read how far an erasure has come."""
    found = existing_id(erasure_id, "erasure")
    return _erasure(await services.jobs.read(caller, found, JobKind.ERASURE))


def _replay(job: Job) -> Replay:
    asked, state = replay_jobs.asked_of(job), JobState(job.state)
    assert job.integration_id is not None  # noqa: S101 - every replay has one
    return Replay(
        id=job.id,
        integration_id=job.integration_id,
        state=state,
        since=asked.since,
        until=asked.until,
        statuses=[EndStatus(each) for each in asked.statuses],
        types=None if asked.types is None else list(asked.types),
        missing=asked.missing,
        rate_limit=job.rate_limit,
        total=None if state is JobState.COUNTING else job.total,
        queued=job.worked_on,
        delivered=job.delivered,
        failed=job.failed,
        skipped=job.skipped,
        created_at=job.created_at,
        created_by=job.created_by,
        finished_at=job.finished_at,
        error=job.error,
    )


def _erasure(job: Job) -> Erasure:
    asked, state = erasure_jobs.asked_of(job), JobState(job.state)
    return Erasure(
        id=job.id,
        state=state,
        pbx=asked.pbx,
        company=asked.company,
        subject=asked.subject,
        before=asked.before,
        total=None if state is JobState.COUNTING else job.total,
        erased=job.worked_on,
        created_at=job.created_at,
        created_by=job.created_by,
        finished_at=job.finished_at,
        error=job.error,
    )
