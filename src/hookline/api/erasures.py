"""Erasures: payloads destroyed on a person's or a tenant's request, as a durable job."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from hookline.api.auth import Admin
from hookline.api.bounded_body import GuardedRoute
from hookline.api.examples import NEW_ERASURE
from hookline.api.history import existing_id
from hookline.api.parameters import Timestamp
from hookline.api.responses import failures, job_started
from hookline.api.services import ServicesDep
from hookline.db.job_models import Job
from hookline.dispatch.erasures import WantedErasure, asked_of
from hookline.domain.jobs import JobKind, JobState
from hookline.errors import FieldProblem, InvalidInput
from hookline.history.job_schemas import Erasure
from hookline.history.jobs import new_job
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial, RequestDocument

router = APIRouter(prefix="/v1/erasures", tags=["Erasures"], route_class=GuardedRoute)

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


@router.post(
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
    return _shown(job)


@router.get("/{erasure_id}", responses=failures(403, 404, 422))
async def get_erasure(*, caller: Admin, services: ServicesDep, erasure_id: ErasurePath) -> Erasure:
    """Read how far an erasure has come."""
    found = existing_id(erasure_id, "erasure")
    return _shown(await services.jobs.read(caller, found, JobKind.ERASURE))


def _shown(job: Job) -> Erasure:
    asked, state = asked_of(job), JobState(job.state)
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
