"""Authentication and authorisation: whose key a request has, and what its role may do."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from hookline.api.middleware import note_key
from hookline.api.services import services_of
from hookline.dispatch.ingest_authorisation import IngestCaller
from hookline.domain.access import Principal, Role
from hookline.errors import Forbidden, NotAuthenticated

_BEARER = HTTPBearer(scheme_name="bearer", auto_error=False)
"""For the document alone, which says of each operation which roles it takes."""


async def authenticate(request: Request) -> Principal:
    """Return who sends the request, asked once a request; raise NotAuthenticated or Overloaded."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is None:
        services = services_of(request)
        known = await _identified(request, services.keys.authenticate)
        services.rate_limits.spend_request(known, request.method)
        request.state.principal = known
    return known


async def authenticate_event_sender(request: Request) -> IngestCaller:
    """Return who sends events, from memory; raise NotAuthenticated, Forbidden or Overloaded."""
    services = services_of(request)
    principal = await _identified(request, services.keys.authenticate_from_memory)
    caller = await services.ingest_authorisation.authorise(principal)
    services.rate_limits.spend_event(principal)
    await services.cpu_shares.turn(principal)
    return caller


async def _identified(
    request: Request, find: Callable[[str | None], Awaitable[Principal]]
) -> Principal:
    """Return whose key is in this request's header; every wrong key is counted."""
    throttle = services_of(request).authentication_throttle
    await throttle.check(request)
    try:
        principal = await find(_authorization(request))
    except NotAuthenticated:
        throttle.count_refused(request)
        raise
    note_key(request.scope, principal.key_id)
    return principal


def _authorization(request: Request) -> str | None:
    """Return the header as it came; Starlette's own look-up decodes all the others as well."""
    found: bytes | None = None
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            if found is not None:  # a proxy may have gone by the other one
                raise NotAuthenticated("Send the header Authorization once.")
            found = value
    return None if found is None else found.decode("latin-1")


def require(*roles: Role) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that lets these roles pass and gives who it is."""

    async def allowed(
        request: Request, _documented: Annotated[object, Security(_BEARER, scopes=roles)]
    ) -> Principal:
        principal = await authenticate(request)
        if principal.role not in roles:
            wanted = " or ".join(f"{role.value!r}" for role in roles)
            raise Forbidden(f"This takes a key with the role {wanted}.")
        return principal

    return allowed


Manager = Annotated[Principal, Depends(require(Role.ADMIN, Role.MANAGER))]
"""Who may look after integrations and deliveries, each inside its scope."""

Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
"""Who may do everything."""

AnyRole = Annotated[Principal, Depends(require(*Role))]
"""Whoever has a valid key."""
