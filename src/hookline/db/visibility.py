"""What a key may see, said in SQL: the same as `Principal.sees` says of one object."""

from sqlalchemy import ColumnElement, and_, exists, false, or_, true

from hookline.db.models import AcceptedEvent, Integration, Pbx
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
    of_another = exists().where(Pbx.pbx == AcceptedEvent.pbx, Pbx.company != principal.company)
    return and_(
        AcceptedEvent.company == principal.company,
        or_(AcceptedEvent.pbx.is_(None), ~of_another),
    )
