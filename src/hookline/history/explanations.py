"""Why an event's deliveries stand as they do: what each waits for, and what was answered last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from hookline.db.models import IntegrationHealth
from hookline.db.queue_models import PendingDelivery
from hookline.domain.health import HealthState
from hookline.history.schemas import Attempt, OutcomeDetail


@dataclass(frozen=True, slots=True)
class Waiting:
    """What keeps an event's pending deliveries, by delivery and by integration."""

    behind: Mapping[UUID, UUID]
    health: Mapping[str, RowMapping]


async def read_waiting(connection: AsyncConnection, pending: Sequence[RowMapping]) -> Waiting:
    """Read what these pending deliveries of one event wait for."""
    if not pending:
        return Waiting({}, {})
    heads = (await connection.execute(_heads([row["id"] for row in pending]))).mappings()
    behind = {row["id"]: row["head"] for row in heads if row["head"] != row["id"]}
    ill = await connection.execute(_health(sorted({row["integration_id"] for row in pending})))
    return Waiting(behind, {row["integration_id"]: row for row in ill.mappings()})


def detail_of(row: RowMapping, attempts: Sequence[Attempt], waiting: Waiting) -> OutcomeDetail:
    """Say why a delivery stands as it does."""
    ill = waiting.health.get(row["integration_id"]) if row["status"] == "pending" else None
    paused = ill is not None and ill["state"] == HealthState.PAUSED.value
    return OutcomeDetail(
        attempts=len(attempts),
        last_attempt=attempts[-1] if attempts else None,
        next_attempt_at=row["next_attempt_at"],
        paused=paused,
        failing_since=ill["failing_since"] if ill is not None and paused else None,
        next_probe_at=ill["paused_until"] if ill is not None and paused else None,
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
    return select(table.integration_id, table.state, table.failing_since, table.paused_until).where(
        table.integration_id.in_(integration_ids)
    )
