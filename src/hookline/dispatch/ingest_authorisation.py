"""Authorises callers to send events, and routes each event to its PBX.

Answered from memory, as of a revision. Ingest stores no event that was authorised at an older
revision than the current one; it is authorised again first. So a key that was revoked before an
event arrived is refused, in every process, without a query for each event.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import UUID

from msgspec.structs import replace

from hookline.dispatch.ingest import Charge, Ingest, Stale
from hookline.dispatch.observer import Receipt
from hookline.domain.access import Principal
from hookline.domain.events import Event
from hookline.errors import (
    FieldProblem,
    Forbidden,
    HooklineError,
    InvalidInput,
    NotAuthenticated,
    Overloaded,
)
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.subscriptions import Subscriptions

_FREELY = 3  # tries to store events while records may change

ChargeKey = Callable[[UUID, float], None]
"""Is told the CPU seconds that a key's events took."""


class IngestCaller:
    """A key that sends events, as of a revision."""

    def __init__(
        self,
        principal: Principal,
        revision: int,
        keys: KeyCache,
        subscriptions: Subscriptions,
        charges: Sequence[Charge],
    ) -> None:
        self.principal = principal
        self.revision = revision
        self._keys = keys
        self._subscriptions = subscriptions
        self._charges = charges

    async def route_all(
        self, items: Sequence[Event | HooklineError]
    ) -> list[Event | HooklineError]:
        """Route events, each by itself; what is an error already stays one.

        Nobody is refused by a snapshot from before another process changed a PBX's record.
        """
        company = self.principal.company
        if not all(
            self._is_on_record(item.pbx, company) for item in items if isinstance(item, Event)
        ):
            await self._subscriptions.refresh()
        return [self._routed(item) for item in items]

    def route(self, event: Event) -> Event:
        """Return the event with the PBX that routes it: its own, or else the key's.

        Raises Forbidden for an event of another PBX or company than the key is bound to, and
        InvalidInput for a name that only Hookline's own events have.
        """
        if self._subscriptions.reserves(event.type):
            raise InvalidInput(
                FieldProblem("type", "Names of this group are reserved for Hookline's own events.")
            )
        bound_to = self.principal
        if not bound_to.may_send(event.pbx, event.company):
            raise Forbidden(
                f"This key sends the events of {_named(bound_to)} alone; send this one with a key"
                " of its own."
            )
        if bound_to.pbx is not None:
            return event if event.pbx is not None else replace(event, pbx=bound_to.pbx)
        if not self._is_on_record(event.pbx, bound_to.company):
            raise Forbidden(
                "This key sends the events of its company's PBXs alone, and this one's PBX is not"
                " on record as the company's: an administrator can PUT /v1/pbxs/{pbx}, or send it"
                " with a key of the PBX's own."
            )
        return event

    def _routed(self, item: Event | HooklineError) -> Event | HooklineError:
        if isinstance(item, HooklineError):
            return item
        try:
            return self.route(item)
        except (Forbidden, InvalidInput) as error:
            return error

    def _is_on_record(self, pbx: str | None, company: str | None) -> bool:
        """Whether a key of this company, if it has one, may send events of this PBX."""
        return company is None or pbx is None or self._subscriptions.company_of(pbx) == company

    async def send(self, ingest: Ingest, events: Sequence[Event]) -> list[Receipt]:
        """Have routed events accepted, authorised again wherever records changed meanwhile.

        Where they do again and again, they are kept from it for the moment that this takes.
        Raises what ingest and `authorise_again` raise, and then nothing is stored.
        """
        for _ in range(_FREELY):
            answer = await ingest.accept_authorised(events, self.revision, self._charge_all)
            if not isinstance(answer, Stale):
                return answer
            await self.authorise_again(answer.revision, events)
        async with self._subscriptions.unchanged() as revision:
            await self.authorise_again(revision, events)
            answer = await ingest.accept_authorised(events, revision, self._charge_all)
            if not isinstance(answer, Stale):
                return answer
        raise Overloaded("Integrations change faster than events are matched.", retry_after=1.0)

    def _charge_all(self, seconds: float) -> None:
        for charge in self._charges:
            charge(seconds)

    async def authorise_again(self, revision: int, events: Iterable[Event]) -> None:
        """Check again, as of a newer revision, that these routed events may be taken.

        Raises NotAuthenticated where the key is no longer valid, Forbidden where an event is no
        longer the key's to send.
        """
        await self._keys.reload_if(revision)
        if not self._keys.still_valid(self.principal):
            raise NotAuthenticated("This key has expired or was revoked.")
        self.revision = revision
        for event in events:
            self.route(event)


class IngestAuthorisation:
    """Authorises keys to send events.

    `charge` is told the CPU seconds that matching a key's events takes.
    """

    def __init__(self, keys: KeyCache, subscriptions: Subscriptions, charge: ChargeKey) -> None:
        self._keys = keys
        self._subscriptions = subscriptions
        self._charge = charge

    async def authorise(self, principal: Principal, *charges: Charge) -> IngestCaller:
        """Let a key send events, as of the revision that events are matched at.

        `charges` are told as well what matching its events takes.

        Raises NotAuthenticated for a key that is no longer valid by then, Forbidden for one that
        sends no events, or Unavailable.
        """
        revision = self._subscriptions.revision
        await self._keys.reload_if(revision)
        if not self._keys.still_valid(principal):
            raise NotAuthenticated("This key has expired or was revoked.")
        if not principal.sends:
            raise Forbidden("This takes a key with the role 'ingest' or 'admin'.")
        of_key = partial(self._charge, principal.key_id)
        return IngestCaller(
            principal, revision, self._keys, self._subscriptions, (of_key, *charges)
        )


def _named(principal: Principal) -> str:
    if principal.pbx is not None:
        return f"the PBX {principal.pbx}"
    return f"the company {principal.company}"
