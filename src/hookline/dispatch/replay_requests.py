"""Replays as they are asked for: checked, counted for a dry run, or begun as a job."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from hookline.db.job_models import Job
from hookline.dispatch.replays import Replays, WantedReplay, asked_of
from hookline.domain.access import Principal
from hookline.domain.jobs import EndStatus, JobKind, JobState
from hookline.errors import Conflict, FieldProblem, InvalidInput
from hookline.history.job_schemas import Replay, ReplayCount
from hookline.history.jobs import Jobs, new_job
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions

_COUNTED_FOR: Final = 8.0  # seconds that a dry run counts; whoever asks waits for it
_SLACK = timedelta(days=1)  # days are kept whole, so some hours more than the retention are there


@dataclass(frozen=True, slots=True)
class ReplayRequests:
    """Takes requests for replays."""

    jobs: Jobs
    replays: Replays
    integrations: IntegrationService
    subscriptions: Subscriptions
    retention_days: int

    async def start(
        self,
        principal: Principal,
        integration_id: str,
        wanted: WantedReplay,
        rate_limit: float | None,
    ) -> Job:
        """Begin a replay.

        Raises NotFound, Forbidden, InvalidInput for a period that is not possible, and Conflict
        where the integration is disabled or has a replay that is not finished.
        """
        wanted = await self._checked(principal, integration_id, wanted)
        return await self.jobs.start(
            new_job(
                JobKind.REPLAY,
                first=wanted.first,
                beyond=wanted.beyond,
                asked=wanted.as_document(),
                principal=principal,
                integration_id=integration_id,
                rate_limit=rate_limit,
            )
        )

    async def count(
        self, principal: Principal, integration_id: str, wanted: WantedReplay
    ) -> ReplayCount:
        """Say what a replay would come to; raises what `start` does, but for a second replay."""
        wanted = await self._checked(principal, integration_id, wanted)
        total, after = 0, wanted.first
        until = time.monotonic() + _COUNTED_FOR
        while after < wanted.beyond and time.monotonic() < until:
            async with self.jobs.reading() as session:
                found, after = await self.replays.look(session, integration_id, wanted, after)
            total += found
        return ReplayCount(
            integration_id=integration_id, total=total, complete=after >= wanted.beyond
        )

    async def _checked(
        self, principal: Principal, integration_id: str, wanted: WantedReplay
    ) -> WantedReplay:
        await self.integrations.check_manages(principal, integration_id)
        now = datetime.now(UTC)
        wanted = replace(wanted, until=min(wanted.until, now))
        if wanted.since < now - timedelta(days=self.retention_days) - _SLACK:
            raise InvalidInput(
                FieldProblem(
                    "since",
                    f"Events are kept for {self.retention_days} days; send a later time.",
                )
            )
        if wanted.since >= wanted.until:
            raise InvalidInput(FieldProblem("since", "Send a time before `until`, and before now."))
        await self.subscriptions.refresh()
        subscription = self.subscriptions.find(integration_id)
        if subscription is None or not subscription.enabled:
            raise Conflict("The integration is disabled; enable it first, then replay.")
        return wanted


def shown(job: Job) -> Replay:
    """Return a replay as the API shows it."""
    asked = asked_of(job)
    assert job.integration_id is not None  # noqa: S101 - every replay has one
    state = JobState(job.state)
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
