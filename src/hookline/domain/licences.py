"""The licence rule: which PBXs send the events that it covers."""

from dataclasses import dataclass
from enum import StrEnum


class Licence(StrEnum):
    """The licences a PBX can have, as the REST API names them."""

    X_BEES = "x-bees"
    COLLABORATION = "collaboration"


@dataclass(frozen=True, slots=True)
class PbxPolicy:
    """What an administrator said about a PBX; `presence_events` matters to Collaboration alone."""

    company: str
    licence: Licence
    presence_events: bool


def allows(pbx: PbxPolicy | None, *, licensed: bool) -> bool:
    """Whether a PBX sends an event type that the licence rule covers (`licensed`) or does not.

    A Collaboration PBX sends covered events only where presence events are switched on for it; an
    x-bees PBX sends them by default, and so does one that was never described (None).
    """
    if not licensed or pbx is None:
        return True
    return pbx.licence is Licence.X_BEES or pbx.presence_events
