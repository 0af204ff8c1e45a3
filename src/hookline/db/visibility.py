"""What a key may see, said in SQL: the same as `Principal.sees` says of one object."""

from sqlalchemy import ColumnElement, SQLColumnExpression, and_, exists, false, or_, select, true

from hookline.db.models import Integration, Pbx
from hookline.db.queue_models import AcceptedEvent
from hookline.domain.access import Principal


def integrations_seen_by(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `integrations`; deleted ones count, for their deliveries stay.

    A company that nobody vouched for is a claim, and opens the row to nobody of that company.
    """
    if principal.is_admin:
        return true()
    if not principal.manages:
        return false()
    if principal.pbx is not None:
        return Integration.pbx == principal.pbx
    return and_(Integration.company == principal.company, Integration.company_vouched)


def integrations_shown_to(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `integrations` that a key may know of, besides those it manages.

    A company knows what a former one left on a PBX that is its own now.
    """
    seen = integrations_seen_by(principal)
    if principal.company is None or not principal.manages:
        return seen
    own = select(Pbx.pbx).where(Pbx.company == principal.company, Pbx.deleted_at.is_(None))
    return or_(seen, Integration.pbx.in_(own))


def pbxs_seen_by(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `pbxs`; deleted records are nobody's."""
    living = Pbx.deleted_at.is_(None)
    if principal.is_admin:
        return living
    if not principal.manages:
        return false()
    own = Pbx.pbx == principal.pbx if principal.pbx else Pbx.company == principal.company
    return and_(living, own)


def events_seen_by(principal: Principal) -> ColumnElement[bool]:
    """Return the condition on `events` for what belongs to the key's PBX or company.

    A company does not see an event that names it but comes from a PBX on record as another's.
    """
    if principal.is_admin:
        return true()
    if not principal.manages:
        return false()
    if principal.pbx is not None:
        return AcceptedEvent.pbx == principal.pbx
    return and_(AcceptedEvent.company == principal.company, events_of_own_pbxs(principal))


def events_of_own_pbxs(principal: Principal) -> ColumnElement[bool]:
    """Return what `events_seen_by` says besides that an event is of the key's PBX or company."""
    if principal.company is None:
        return true()
    pbx = AcceptedEvent.pbx
    return or_(pbx.is_(None), ~pbx_of_another(pbx, principal.company))


def pbx_of_another(pbx: SQLColumnExpression[str | None], company: str) -> ColumnElement[bool]:
    """Return the condition that a PBX is on record as another company's."""
    return exists().where(Pbx.pbx == pbx, Pbx.company != company, Pbx.deleted_at.is_(None))
