"""What one process knows and tells of its targets; others have the same over the same database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from uuid import UUID

import orjson

from factories import a_principal, a_webhook
from hookline.dispatch.circuit_breaker import HealthMonitor
from hookline.dispatch.notices import ExhaustedCounter, Notices
from hookline.dispatch.observer import NoObserver, Receipt
from hookline.domain.catalogue import load_catalogue
from hookline.domain.deliveries import (
    Delivered,
    ErrorKind,
    Failed,
    FailReason,
    Outcome,
    RetryAt,
    Sent,
    Verdict,
)
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.health import HealthRules
from hookline.domain.ids import new_uuid
from hookline.integrations.health import HealthRecords
from hookline.integrations.notices import Outbox
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.queue.port import Claimed, Settlement
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing
from support.queue_contract import an_event

ADMIN = a_principal()
RULES = HealthRules(failing_after=2, pause_after=4, pause_seconds=0)
WELL = (Verdict.DELIVERED, Delivered())
DOWN = (Verdict.RETRY, RetryAt(5.0))
EXHAUSTED = (Verdict.RETRY, Failed(FailReason.EXHAUSTED))

Told = list[tuple[str, dict[str, object]]]


async def resolve(_host: str) -> tuple[Address, ...]:
    return (ip_address("93.184.215.14"),)


class Process:
    """One process's watch, exhausted and notices."""

    def __init__(self, transactions: Transactions, keyring: KeyRing) -> None:
        catalogue = load_catalogue()
        policy = EgressPolicy(resolve=resolve)
        self.integrations = IntegrationService(transactions, keyring, policy, catalogue)
        self.subscriptions = Subscriptions(transactions, catalogue, keyring)
        self.exhausted = ExhaustedCounter(Outbox(transactions).count)
        self.notices = Notices(Outbox(transactions))
        self.monitor = HealthMonitor(
            HealthRecords(transactions, RULES),
            RULES,
            self.subscriptions,
            self.exhausted,
            disable=self.integrations.disable_failing,
            observer=NoObserver(),
        )
        self.accepted: list[Event] = []

    async def an_integration(self, **changes: object) -> str:
        new = IntegrationCreate.model_validate(a_webhook(**changes))
        made = (await self.integrations.create(ADMIN, new)).integration.id
        await self.subscriptions.catch_up()
        return made

    async def change(self, integration_id: str, **fields: object) -> None:
        patch = IntegrationPatch.model_validate(fields)
        await self.integrations.change(ADMIN, integration_id, patch, None)

    def saw(
        self, integration_id: str, what: tuple[Verdict, Outcome], times: int = 1, kind: str = ""
    ) -> list[UUID]:
        """Have attempts end like this; return their deliveries' ids."""
        jobs = [a_job(integration_id, kind) for _ in range(times)]
        for job in jobs:
            self.monitor.attempted(job, ended(job, *what))
        return [job.id for job in jobs]

    async def told(self) -> Told:
        """Have notices accepted; return type and content of what is new."""
        await self.exhausted.flush()
        self.accepted.clear()
        await self.notices.run_once(self._accept)
        events = [orjson.loads(event.payload) for event in self.accepted]
        return [(event["type"], event["data"]) for event in events]

    async def pause(self, integration_id: str) -> None:
        """Have attempts fail until the integration is paused."""
        self.saw(integration_id, DOWN, times=3)
        await self.monitor.sync()
        self.saw(integration_id, DOWN, times=2)
        await self.monitor.sync()
        assert self.monitor.is_paused(integration_id)

    async def _accept(self, events: Sequence[Event]) -> list[Receipt]:
        self.accepted += events
        return [Receipt(new_uuid(), duplicate=False, deliveries=0) for _ in events]


def a_job(integration_id: str, kind: str = "") -> Claimed:
    event = an_event().event
    if kind:
        envelope = orjson.loads(event.payload) | {"type": kind}
        event = parse_event(orjson.dumps(envelope), Limits())
    return Claimed(
        id=new_uuid(),
        lease=1,
        event_id=new_uuid(),
        integration_id=integration_id,
        attempts=0,
        claims=1,
        once=False,
        revision=1,
        event=event,
    )


def ended(job: Claimed, verdict: Verdict, outcome: Outcome) -> Settlement:
    error = None if verdict is Verdict.DELIVERED else ErrorKind.TIMEOUT
    sent = Sent(verdict, datetime.now(UTC), 10, error)
    return Settlement(job.id, job.lease, outcome, 1, sent)
