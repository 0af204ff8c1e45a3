"""Works on durable jobs, a page at a time; any process does, and one at a time on each job."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from hookline.background import Periodic
from hookline.db.models import Job
from hookline.errors import Unavailable
from hookline.history.jobs import JobKind, Jobs
from hookline.logs import get_logger

if TYPE_CHECKING:
    from uuid import UUID

_MOST_PAGES = 50  # in one round: what settled is added up in between
_NEXT = 0.05  # seconds: for a page that is due within them, a round goes on
_SOON = 1.0  # seconds: whoever waits longer is found by the next poll
_REST = 3.0  # times as long as a page took, beside events: a quarter of the time is for jobs
_AFTER_A_FAULT = 5.0  # seconds until a page that failed is tried again
_MOST_FAULTS = 20  # pages that fail in a row until a job is given up
_LOG = get_logger(__name__)


class Work(Protocol):
    """What is done with jobs of one kind."""

    async def page(self, session: AsyncSession, job: Job) -> bool:
        """Do one page and move the job on, or end it, all in the session's transaction.

        Return whether the runner is to rest: others have better things to do.
        """


class JobRunner:
    """Takes jobs that are due, in turn, every `interval` seconds and when one is asked for."""

    def __init__(self, jobs: Jobs, work: Mapping[JobKind, Work], interval: float) -> None:
        self._jobs = jobs
        self._work = work
        self.periodic = Periodic("jobs", self.run_once, interval)

    async def run_once(self) -> None:
        """Do pages of what is due now. Raises Unavailable."""
        await self._jobs.add_outcomes()
        for _ in range(_MOST_PAGES):
            if await self._page():
                continue
            if not await self._jobs.due_within(_NEXT):
                break
            await asyncio.sleep(_NEXT)
        if await self._jobs.due_within(_SOON):
            self.periodic.soon()

    async def _page(self) -> bool:
        """Do one page of the job that is due longest; tell whether there was one."""
        claimed: UUID | None = None
        began = time.monotonic()
        postpone = partial(self._jobs.postpone, seconds=_AFTER_A_FAULT)
        try:
            async with self._jobs.claim() as (session, job):
                if job is None:
                    return False
                claimed = job.id
                rests = await self._work[JobKind(job.kind)].page(session, job)
                job.faults = 0
                _log_end(job)
            if rests:
                await asyncio.sleep(_REST * (time.monotonic() - began))
        except Unavailable:
            if claimed is not None:  # a page that takes too long must not keep others waiting
                await postpone(claimed, most_faults=1_000)
            raise
        except Exception:  # a fault in one job must not stop the others
            if claimed is None:
                raise
            _LOG.exception("job.fault", job=str(claimed))
            await postpone(claimed, most_faults=_MOST_FAULTS)
        return True


def _log_end(job: Job) -> None:
    if job.finished_at is not None:
        _LOG.info(
            "job.finished",
            job=str(job.id),
            kind=job.kind,
            state=job.state,
            total=job.total,
            worked_on=job.worked_on,
        )
