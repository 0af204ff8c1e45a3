"""Probes, metrics and the state of the service: `/livez`, `/readyz`, `/metrics`, `/v1/system`."""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeAliasType

from hookline import __version__
from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Admin, Check, ServicesDep
from hookline.api.parameters import StrictRoute
from hookline.api.responses import failures
from hookline.db.errors import means_away
from hookline.db.migrate import is_current, newest_revision
from hookline.dispatch.engine import Engine
from hookline.domain.health import HealthState
from hookline.integrations.fields import Document, IntegrationId, TimestampField
from hookline.metrics.exposition import CONTENT_TYPE
from hookline.metrics.system import ProcessState, Rates, SystemReport

router = APIRouter(prefix="/v1/system", tags=["System"], route_class=JsonRoute)

_MS = 1000  # in a second
probes = APIRouter(tags=["Health"], route_class=StrictRoute)
ReadinessStatus = TypeAliasType(
    "ReadinessStatus",
    Annotated[Literal["ready", "not ready"], Field(description="`ready` if every check is well.")],
)
_TEXT: Final[dict[int | str, dict[str, Any]]] = {  # Any: as FastAPI declares it
    200: {
        "description": "Every metric in Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
_READY_TIMEOUT = 2.0  # seconds; a balancer asks again soon


class TenantBacklog(Document):
    """What one PBX or company has waiting."""

    pbx: str | None = Field(description="The PBX; `null` for a company's events without a PBX.")
    company: str | None = Field(description="The company; `null` where none is on record.")
    pending: int = Field(ge=0, description="Its pending deliveries.", examples=[120])


class SystemBacklog(Document):
    """The pending deliveries, each in one of three states."""

    pending: int = Field(ge=0, description="All of them.", examples=[140])
    leased: int = Field(ge=0, description="Those that an engine has in hand.", examples=[16])
    due: int = Field(ge=0, description="Those that are due and that no engine has.", examples=[4])
    scheduled: int = Field(
        ge=0, description="Those that wait for a later moment, such as a retry's.", examples=[120]
    )
    limit: int = Field(ge=1, description="How many may be pending; above, events are answered 429.")
    estimated: bool = Field(description="Whether there are so many that a sample was counted.")
    tenants: list[TenantBacklog] = Field(
        description="Up to ten PBXs and companies that have the most waiting, the most first."
    )


class OldestDelivery(Document):
    """The delivery that has been due for longest and that no engine has in hand."""

    integration_id: IntegrationId
    due_at: TimestampField = Field(description="Since when it is due.")
    waited_ms: int = Field(ge=0, description="For how long.", examples=[41])


class SystemRates(Document):
    """How many a second, over the last minute."""

    accepted_per_second: float = Field(ge=0, description="Accepted events.", examples=[210.5])
    delivered_per_second: float = Field(ge=0, description="Delivered copies.", examples=[420.25])
    failed_per_second: float = Field(
        ge=0, description="Copies that failed for good.", examples=[0.05]
    )


class SystemProcess(Document):
    """One process of the service, as it said of itself seconds ago."""

    id: UUID = Field(description="What tells it from its predecessors.")
    host: str = Field(description="The name of its machine.", examples=["hookline-1"])
    pid: int = Field(ge=1, description="Its process id on that machine.", examples=[4242])
    version: str = Field(description="Its version of Hookline.", examples=["1.0.0"])
    api: bool = Field(description="Whether it answers requests.")
    started_at: TimestampField = Field(description="When it started.")
    seen_at: TimestampField = Field(description="When it last said so.")
    leased: int = Field(ge=0, description="Deliveries that it has in hand.", examples=[16])
    in_flight: int = Field(ge=0, description="Attempts that it has under way.", examples=[12])
    rates: SystemRates


class SystemDatabase(Document):
    """The PostgreSQL behind the service, looked at within the last half minute."""

    version: str = Field(description="The server's version.", examples=["18.1"])
    encoding: str = Field(description="The database's encoding.", examples=["UTF8"])
    size_bytes: int = Field(ge=0, description="What it takes on disk.", examples=[734003200])
    latency_ms: float = Field(ge=0, description="One round trip.", examples=[0.4])
    connections: int = Field(ge=0, description="Sessions in this database.", examples=[14])
    connections_limit: int = Field(ge=1, description="Sessions the server allows.", examples=[100])


class SystemPartitions(Document):
    """The days that events are kept of. The newest ones are made ahead of time."""

    days: int = Field(ge=0, description="How many there are.", examples=[34])
    oldest: date | None = Field(description="The first one.", examples=["2026-01-01"])
    newest: date | None = Field(description="The last one.", examples=["2026-02-03"])


class SystemMigrations(Document):
    """The schema of the database."""

    current: str | None = Field(description="The migration it is at.", examples=["0013"])
    newest: str = Field(description="The newest one of this version.", examples=["0013"])


class SystemOverview(Document):
    """The state of the service."""

    version: str = Field(description="The version that answers.", examples=["1.0.0"])
    time: TimestampField = Field(description="When this was so: now, or a second ago.")
    backlog: SystemBacklog
    oldest_due: OldestDelivery | None = Field(
        description="What has been due for longest, paused integrations left out; `null` where "
        "nothing waits."
    )
    rates: SystemRates
    integrations: dict[str, Annotated[int, Field(ge=0)]] = Field(
        description="How many integrations are in each state of health. More states may be added.",
        examples=[{"healthy": 41, "failing": 1, "paused": 0, "disabled": 3}],
    )
    engines: list[SystemProcess] = Field(
        description="The processes that deliver, the oldest first. One that says nothing for 20 "
        "seconds is left out."
    )
    api_processes: list[SystemProcess] = Field(
        description="The processes that answer requests and deliver nothing."
    )
    database: SystemDatabase
    partitions: SystemPartitions
    migrations: SystemMigrations


@router.get("", responses=failures(403, 422))
async def get_system(_caller: Admin, services: ServicesDep) -> SystemOverview:
    """Read the state of the service.

    Numbers are of all processes on the database. It is made at most once a second, however many
    ask. For graphs and alerts there is `/metrics`.
    """
    return _overview(await services.system.report())


def _overview(report: SystemReport) -> SystemOverview:
    backlog, oldest = report.backlog, report.oldest_due
    return SystemOverview(
        version=__version__,
        time=report.at,
        backlog=SystemBacklog(
            pending=backlog.pending,
            leased=backlog.leased,
            due=backlog.due,
            scheduled=backlog.scheduled,
            limit=report.most_pending,
            estimated=backlog.estimated,
            tenants=[
                TenantBacklog(pbx=tenant.pbx, company=tenant.company, pending=pending)
                for tenant, pending in report.tenants
            ],
        ),
        oldest_due=None
        if oldest is None
        else OldestDelivery(
            integration_id=oldest.integration_id,
            due_at=oldest.due_at,
            waited_ms=int(oldest.waited * _MS),
        ),
        rates=_rates(report.rates),
        integrations={state.value: report.integrations[state] for state in HealthState},
        engines=[_process(each) for each in report.processes if each.engine],
        api_processes=[_process(each) for each in report.processes if not each.engine],
        **_database(report),
    )


def _database(report: SystemReport) -> dict[str, Document]:
    found, days = report.database, report.database.days
    return {
        "database": SystemDatabase(
            version=found.version,
            encoding=found.encoding,
            size_bytes=found.size,
            latency_ms=round(found.latency * _MS, 3),
            connections=found.connections,
            connections_limit=found.most_connections,
        ),
        "partitions": SystemPartitions(
            days=0 if days is None else days.count,
            oldest=None if days is None else days.oldest,
            newest=None if days is None else days.newest,
        ),
        "migrations": SystemMigrations(current=found.revision, newest=report.newest_revision),
    }


def _process(process: ProcessState) -> SystemProcess:
    return SystemProcess(
        id=process.id,
        host=process.host,
        pid=process.pid,
        version=process.version,
        api=process.api,
        started_at=process.started_at,
        seen_at=process.seen_at,
        leased=process.held.leased,
        in_flight=process.held.in_flight,
        rates=_rates(process.rates),
    )


def _rates(rates: Rates) -> SystemRates:
    return SystemRates(
        accepted_per_second=round(rates.accepted, 2),
        delivered_per_second=round(rates.delivered, 2),
        failed_per_second=round(rates.failed, 2),
    )


class Liveness(Document):
    """The process is alive."""

    status: Literal["alive"] = Field(description="Always `alive`: who answers is.")


class ReadinessCheck(Document):
    """One thing that must be well before requests make sense."""

    name: str = Field(description="What was looked at.", examples=["database"])
    ok: bool = Field(description="Whether it is well.")
    detail: str = Field(description="What was found, for an operator.")


class ReadinessReport(Document):
    """Whether this process should be sent requests."""

    status: ReadinessStatus
    checks: list[ReadinessCheck] = Field(description="What was looked at.")


@probes.get("/livez")
async def get_liveness() -> Liveness:
    """Tell that the process is alive.

    Asks nothing else; a process that doesn't answer wants to be restarted.
    """
    return Liveness(status="alive")


@probes.get(
    "/readyz",
    responses={503: {"model": ReadinessReport, "description": "Something is not well."}},
)
async def get_readiness(services: ServicesDep, response: Response) -> ReadinessReport:
    """Tell whether the process can work.

    Looks at the database, its migrations and the delivery engine.
    """
    checks = [
        ReadinessCheck(name=check.name, ok=check.ok, detail=check.detail)
        for check in await services.readiness.checks()
    ]
    ready = all(check.ok for check in checks)
    response.status_code = 200 if ready else 503
    return ReadinessReport(status="ready" if ready else "not ready", checks=checks)


@probes.get("/metrics", response_class=Response, responses=_TEXT)
async def get_metrics(services: ServicesDep) -> Response:
    """Read Prometheus metrics.

    In Prometheus' text format, for a whole `hookline serve`, however many processes it has. No
    number says whose it is. While the database is away, what only it knows is left out.
    """
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE)


class DatabaseAndEngine:
    """Knows whether this process can do its work; see `api.dependencies.Readiness`."""

    def __init__(self, records: AsyncEngine, engine: Engine | None) -> None:
        self._records = records
        self._engine = engine

    async def checks(self) -> Sequence[Check]:
        """Ask the database, its migrations and the engine."""
        checks = list(await self._database())
        if self._engine is not None:
            alive = self._engine.alive
            checks.append(Check("engine", alive, "delivering" if alive else "stopped"))
        return checks

    async def _database(self) -> Sequence[Check]:
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                current = await is_current(self._records)
        except Exception as error:
            if not means_away(error):
                raise
            away = "cannot be reached"
            return Check("database", False, away), Check("migrations", False, away)  # noqa: FBT003 - its second field says what it is
        wanted = newest_revision()
        return (
            Check("database", True, "answers"),  # noqa: FBT003 - as above
            Check("migrations", current, f"at {wanted}" if current else f"not at {wanted}"),
        )
