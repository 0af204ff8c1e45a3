"""Replays as the REST API shows them."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from hookline.domain.jobs import EndStatus, JobState
from hookline.history.schemas import IntegrationId, Moment, Next, Record

_STATE = (
    "`counting`: how much there is to do; `running`; `done`: all of it was done; `cancelled`: "
    "somebody asked for that; `failed`: `error` says why."
)
JobId = Annotated[
    UUID, Field(description="The job's id.", examples=["0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57"])
]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Replay(Record):
    """A job that sends an integration's events again."""

    id: JobId
    integration_id: IntegrationId
    state: JobState = Field(description=_STATE)
    since: Moment = Field(description="From when on.")
    until: Moment = Field(description="Up to, and without, when.")
    statuses: list[EndStatus] = Field(description="Deliveries that had ended so.")
    types: list[str] | None = Field(description="Only these types of events; `null`: all.")
    missing: bool = Field(description="Whether events are sent that it has no delivery of.")
    rate_limit: float | None = Field(
        description="How many deliveries a second are queued at most; `null`: as many as it takes."
    )
    total: Count | None = Field(
        description="How many deliveries it comes to; `null` while they are counted."
    )
    queued: Count = Field(description="How many were queued so far, each with an id of its own.")
    delivered: Count = Field(description="Of those, how many were delivered.")
    failed: Count = Field(description="Of those, how many failed.")
    skipped: Count = Field(
        description="Of those, how many were skipped, since the integration was disabled, say."
    )
    created_at: Moment = Field(description="When it was asked for.")
    created_by: str = Field(description="The name of the key that asked for it, or its id.")
    finished_at: Moment | None = Field(description="When it ended; `null` before that.")
    error: str | None = Field(description="Why it has `failed`, or what it is waiting for.")


class ReplayCount(Record):
    """What a replay would come to; nothing was queued."""

    integration_id: IntegrationId
    total: Count = Field(description="How many deliveries it would queue.")
    complete: bool = Field(
        description="Whether all of them were counted; where not, there are more than `total`."
    )


class ReplayPage(Record):
    """One page of an integration's replays, newest first."""

    items: list[Replay] = Field(description="The page's replays.")
    next: Next


class Erasure(Record):
    """A job that destroys payloads."""

    id: JobId
    state: JobState = Field(description=_STATE)
    pbx: str | None = Field(description="The PBX whose events are erased.")
    company: str | None = Field(description="The company whose events are erased.")
    subject: str | None = Field(description="Only events of this subject; `null`: all.")
    before: Moment = Field(description="Only what was accepted before this time.")
    total: Count | None = Field(
        description="How many events it comes to; `null` while they are counted."
    )
    erased: Count = Field(description="How many were erased so far, their answers too.")
    created_at: Moment = Field(description="When it was asked for.")
    created_by: str = Field(description="The name of the key that asked for it, or its id.")
    finished_at: Moment | None = Field(description="When it ended; `null` before that.")
    error: str | None = Field(description="Why it has `failed`, or what it is waiting for.")
