"""What became of an event for each integration, and why: what it waits for, what was answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, Select, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from hookline.db.models import IntegrationHealth
from hookline.db.queue_models import PendingDelivery
from hookline.domain import stored
from hookline.domain.access import Principal
from hookline.domain.deliveries import DeliveryStatus, hint_of
from hookline.domain.health import HealthState
from hookline.history import statements
from hookline.history.ranges import ranges_of_deliveries, read_range
from hookline.history.schemas import Attempt, IntegrationOutcome, OutcomeDetail


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What keeps an event's pending deliveries, by delivery and by integration."""

    behind: Mapping[UUID, UUID]
    health: Mapping[str, RowMapping]


async def read_outcomes(
    connection: AsyncConnection, principal: Principal, event: RowMapping
) -> list[IntegrationOutcome]:
    """Return outcomes with a delivery first, then the others; each part by integration."""
    delivered: list[RowMapping] = []
    for within in await ranges_of_deliveries(connection, event["id"], event["id"]):
        query = statements.deliveries_of_event(event["id"], within)
        delivered += await read_range(connection, query)
    delivered.sort(key=lambda row: (row["integration_id"], row["id"]))
    outcomes = await _explained(connection, delivered)
    having_one = {outcome.integration_id for outcome in outcomes}
    outcomes += [o for o in _noted(event["skipped"]) if o.integration_id not in having_one]
    if principal.is_admin or not outcomes:
        return outcomes
    among = {outcome.integration_id for outcome in outcomes}
    seen = set(await connection.scalars(statements.seen_integrations(principal, sorted(among))))
    return [outcome for outcome in outcomes if outcome.integration_id in seen]


async def _explained(
    connection: AsyncConnection, rows: Sequence[RowMapping]
) -> list[IntegrationOutcome]:
    """Return deliveries as outcomes, each with why it stands so."""
    pending = [row for row in rows if row["status"] == DeliveryStatus.PENDING]
    waiting = await _read_waiting(connection, pending)
    made = await read_attempts(connection, rows)
    return [_outcome(row, _detail_of(row, made[row["id"]], waiting)) for row in rows]


def _noted(note: str | None) -> list[IntegrationOutcome]:
    """Read an event's note of who did not get it: reason → integration ids."""
    reasons: Mapping[str, Sequence[str]] = orjson.loads(note) if note else {}
    noted = [
        IntegrationOutcome(
            integration_id=each,
            status=DeliveryStatus.SKIPPED,
            reason=stored.reason_of(reason),
            delivery_id=None,
            detail=None,
        )
        for reason, integration_ids in reasons.items()
        for each in integration_ids
    ]
    return sorted(noted, key=lambda outcome: outcome.integration_id)


async def read_attempts(
    connection: AsyncConnection, rows: Sequence[RowMapping]
) -> dict[UUID, list[Attempt]]:
    """Return the attempts of these deliveries, in order, by delivery."""
    if not rows:
        return {}
    made: dict[UUID, list[Attempt]] = {row["id"]: [] for row in rows}
    for row in (await connection.execute(statements.attempts(list(made)))).mappings():
        made[row["delivery_id"]].append(_attempt(row))
    return made


async def _read_waiting(connection: AsyncConnection, pending: Sequence[RowMapping]) -> _Waiting:
    """Read what these pending deliveries of one event wait for."""
    if not pending:
        return _Waiting({}, {})
    heads = (await connection.execute(_heads([row["id"] for row in pending]))).mappings()
    behind = {row["id"]: row["head"] for row in heads if row["head"] != row["id"]}
    found = await connection.execute(_health(sorted({row["integration_id"] for row in pending})))
    return _Waiting(behind, {row["integration_id"]: row for row in found.mappings()})


def _detail_of(row: RowMapping, attempts: Sequence[Attempt], waiting: _Waiting) -> OutcomeDetail:
    """Say why a delivery stands as it does."""
    health = waiting.health.get(row["integration_id"]) if row["status"] == "pending" else None
    paused = health if health is not None and health["state"] == HealthState.PAUSED.value else None
    return OutcomeDetail(
        attempts=len(attempts),
        last_attempt=attempts[-1] if attempts else None,
        next_attempt_at=row["next_attempt_at"],
        paused=paused is not None,
        paused_since=paused["last_error_at"] if paused else None,  # the last step was the pause
        failing_since=paused["failing_since"] if paused else None,
        next_probe_at=paused["paused_until"] if paused else None,
        behind=waiting.behind.get(row["id"]),
    )


def _heads(ids: Sequence[UUID]) -> Select[*tuple[Any, ...]]:  # Any: rows are read by column name
    """Select the first delivery of the subject of each of these that keeps order."""
    first = aliased(PendingDelivery)
    head = (
        select(first.id.label("head"))
        .where(
            first.integration_id == PendingDelivery.integration_id,
            first.ordering == PendingDelivery.ordering,
        )
        .order_by(first.position, first.id)
        .limit(1)
        .lateral()
    )
    return (
        select(PendingDelivery.id, head.c.head)
        .join(head, true())
        .where(PendingDelivery.id.in_(ids), PendingDelivery.ordering.is_not(None))
    )


def _health(integration_ids: Sequence[str]) -> Select[*tuple[Any, ...]]:  # Any: as above
    table = IntegrationHealth
    columns = (table.integration_id, table.state, table.failing_since, table.last_error_at)
    query = select(*columns, table.paused_until)
    return query.where(table.integration_id.in_(integration_ids))


def _outcome(row: RowMapping, detail: OutcomeDetail) -> IntegrationOutcome:
    return IntegrationOutcome(
        integration_id=row["integration_id"],
        status=stored.status_of(row["status"]),
        reason=stored.reason_of(row["reason"]),
        delivery_id=row["id"],
        detail=detail,
    )


def _attempt(row: RowMapping) -> Attempt:
    response: bytes | None = row["response"]
    return Attempt(
        number=row["number"],
        started_at=row["started_at"],
        duration_ms=row["duration_ms"],
        outcome=stored.attempt_outcome_of(row["outcome"]),
        error=stored.error_of(row["error"]),
        tls_reason=stored.tls_reason_of(row["tls_reason"]),
        status_code=row["status_code"],
        response_body=None if response is None else response.decode(errors="replace"),
        response_defect=stored.response_defect_of(row["response_defect"]),
        hint=hint_of(row["body_bytes"]),
    )
