"""Whose a new integration is: what the key is bound to, what was asked for, what is on record."""

from dataclasses import dataclass

from hookline.domain.access import Principal, Role
from hookline.errors import FieldProblem, Forbidden, InvalidInput


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The PBX and company of an integration.

    `vouched`: somebody entitled to it said that the company is right, so events that are routed by
    company may go there.
    """

    pbx: str | None
    company: str | None
    vouched: bool


def pbx_of(principal: Principal, asked: str | None) -> str | None:
    """Return the PBX that a new integration is for; raise Forbidden for another's."""
    if principal.pbx is None:
        return asked
    if asked not in {None, principal.pbx}:
        raise Forbidden(f"This key manages the PBX {principal.pbx} only.")
    return principal.pbx


def settle(
    principal: Principal, pbx: str | None, company: str | None, recorded: str | None
) -> Tenancy:
    """Decide on the tenancy; `pbx` is from `pbx_of`, `recorded` the company on that PBX's record.

    Raises Forbidden for another tenant's company or PBX, InvalidInput where the record names
    another company, or where neither PBX nor company is known.
    """
    if principal.company is not None:
        company = _own_company(principal.company, company)
        if pbx is not None and recorded != company:
            raise Forbidden(
                f"The PBX {pbx} is not on record as the company's; ask an administrator to"
                f" PUT /v1/pbxs/{pbx} first."
            )
    if recorded is not None and company not in {None, recorded}:
        raise InvalidInput(FieldProblem("company", f"The PBX {pbx} belongs to another company."))
    company = company or recorded
    if pbx is None and company is None:
        message = "Name a PBX, or a company for its events without a PBX."
        raise InvalidInput(FieldProblem("pbx", message), FieldProblem("company", message))
    entitled = principal.role is Role.ADMIN or principal.company is not None
    vouched = company is not None and (entitled or recorded == company)
    return Tenancy(pbx, company, vouched)


def _own_company(own: str, asked: str | None) -> str:
    if asked not in {None, own}:
        raise Forbidden(f"This key manages the company {own} only.")
    return own
