"""The envelope of one event: checked, put into canonical order and printed once.

What is stored, signed and delivered is `payload`; nothing re-serialises it afterwards.
"""

import hashlib
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import msgspec

from hookline.background import run_at_once
from hookline.domain.batches import split_batch
from hookline.domain.documents import Printed, canonical, is_index, load, parse_document
from hookline.domain.ids import uuid_of
from hookline.domain.incremental import WINDOW, parse_in_steps
from hookline.errors import (
    ConfigurationError,
    FieldProblem,
    HooklineError,
    InvalidInput,
    MalformedBody,
    TooLarge,
)

_ITEM_COST = 256  # bytes whose parsing costs as much as one event more
_DEEPEST_SETTING = 200  # parsers and printers recurse; orjson prints 254 levels
_LATEST = 2**53 - 1  # Number.MAX_SAFE_INTEGER, in milliseconds: beyond it receivers would round
_ENVELOPE = frozenset({"id", "pbx", "company", "time", "type", "data"})
_NO_OBJECT = "An event is one JSON object; this is another kind of JSON value."
_SEVERAL = 'An event is one JSON object; send several to /v1/events/batch, as {"events": [...]}.'
_MOST_MEMBERS = 1_000  # of the envelope itself; newer PBXs may add a few, content belongs in `data`

# Routing fields become columns, and Postgres text takes neither NUL nor a lone surrogate.
_TEXT = re.compile("[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+").fullmatch
_NAME = re.compile("[^\\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+").fullmatch


@dataclass(frozen=True, slots=True)
class Limits:
    """How large what a PBX sends may be; the bytes are those of the body and of the stored form."""

    event_bytes: int = 1024 * 1024
    batch_bytes: int = 16 * 1024 * 1024
    batch_events: int = 1_000
    depth: int = 64  # nested arrays and objects of one event, its envelope being the first

    def __post_init__(self) -> None:
        if not 2 <= self.depth <= _DEEPEST_SETTING:  # noqa: PLR2004 - envelope and data
            raise ConfigurationError(
                f"An event's depth limit is from 2 to {_DEEPEST_SETTING}, not {self.depth}."
            )


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event as it was accepted: what routes it, and the bytes that receivers get."""

    subject: str  # the envelope's `id`: all events of one call share it
    pbx: str | None
    company: str
    time: int  # milliseconds since the epoch, when the PBX sent it
    type: str
    payload: bytes  # the canonical envelope, without `integrationId`
    splice: int  # where in `payload` the `integrationId` member goes
    hashed: tuple[str | None, UUID] | None = None  # its digest for one PBX, made with the payload
    trace_context: str | None = None  # of the request that brought it, where traces are on

    def __repr__(self) -> str:
        """Show what routes it, and nothing of what it says."""
        return f"Event({self.type!r}, subject={self.subject!r}, pbx={self.pbx!r})"

    def body_for(self, integration_id: str) -> bytes:
        """Return the copy for one integration: the bytes that are signed and sent."""
        member = f',"integrationId":"{integration_id}"'.encode()
        return self.payload[: self.splice] + member + self.payload[self.splice :]

    def document(self) -> dict[str, object]:
        """Parse the payload: the envelope as content filters see it."""
        return parse_envelope(self.payload)

    def digest(self, pbx: str | None) -> UUID:
        """Return what duplicates share: 128 bits of SHA-256 over the routed PBX and the payload."""
        if self.hashed is not None and self.hashed[0] == pbx:
            return self.hashed[1]
        return _digest(pbx, self.payload)


def parse_envelope(payload: bytes) -> dict[str, object]:
    """Parse a stored payload."""
    return load(payload, whole=payload, offset=0)  # type: ignore[return-value] # it was an object


def parse_event(raw: bytes, limits: Limits) -> Event:
    """Parse one envelope.

    Raises TooLarge, MalformedBody, or InvalidInput with every field that is wrong.
    """
    return run_at_once(event_in_steps(raw, limits))


def event_in_steps(
    raw: bytes, limits: Limits, *, pbx: str | None = None
) -> Generator[None, None, Event]:
    """Parse one envelope in steps of bounded work; the digest is made for `pbx` if it names none.

    Raises what `parse_event` raises.
    """
    if len(raw) > limits.event_bytes:
        raise TooLarge(f"An event has at most {limits.event_bytes} bytes; this one has {len(raw)}.")
    if len(raw) <= WINDOW:
        return _event(parse_document(raw, depth=limits.depth), limits, pbx)
    document = yield from parse_in_steps(raw, depth=limits.depth)
    yield
    return _event(document, limits, pbx)


def parse_batch(raw: bytes, limits: Limits) -> list[Event | HooklineError]:
    """Parse `{"events": [...]}` into one event or error per item, in order.

    Raises for the body as a whole what `parse_event` raises for one event; an item's own problem
    is its value, with paths that start at the item, and spoils no other item.
    """
    return run_at_once(batch_in_steps(raw, limits))


def batch_in_steps(
    raw: bytes, limits: Limits, *, pbx: str | None = None
) -> Generator[None, None, list[Event | HooklineError]]:
    """Parse a batch in steps of bounded work, as `event_in_steps` does one event."""
    if len(raw) > limits.batch_bytes:
        raise TooLarge(f"A batch has at most {limits.batch_bytes} bytes; this one has {len(raw)}.")
    items = yield from split_batch(raw, at_most=limits.batch_events)
    yield
    parsed: list[Event | HooklineError] = []
    since = 0  # bytes parsed since others had their turn
    for item in items:
        parsed.append((yield from _event_or_error(item, limits, pbx)))
        since += len(item) + _ITEM_COST
        if since > WINDOW:
            since = 0
            yield
    return parsed


def _event_or_error(
    item: bytes, limits: Limits, pbx: str | None
) -> Generator[None, None, Event | HooklineError]:
    try:
        return (yield from event_in_steps(item, limits, pbx=pbx))
    except (InvalidInput, MalformedBody, TooLarge) as error:
        return error


def _event(document: object, limits: Limits, routed: str | None) -> Event:
    if type(document) is not dict:
        several = type(document) is list
        raise MalformedBody(_SEVERAL if several else _NO_OBJECT)
    if len(document) > _MOST_MEMBERS:
        raise TooLarge(f"An event's envelope has at most {_MOST_MEMBERS} members; use `data`.")
    event = _checked(cast("dict[str, object]", document), routed)
    if len(event.payload) > limits.event_bytes:
        raise TooLarge(
            f"An event has at most {limits.event_bytes} bytes;"
            f" as JavaScript prints it, this one has {len(event.payload)}."
        )
    return event


def _checked(envelope: dict[str, object], routed: str | None) -> Event:
    problems: list[FieldProblem] = []
    subject = _text(envelope, "id", 255, problems)
    pbx = None if envelope.get("pbx") is None else _text(envelope, "pbx", 64, problems)
    company = _text(envelope, "company", 64, problems)
    time = _time(envelope, problems)
    name = _type(envelope, problems)
    data = _data(envelope, problems)
    if "integrationId" in envelope:
        advice = "Hookline sets integrationId for each copy; leave it out."
        problems.append(FieldProblem("integrationId", advice))
    if problems:
        raise InvalidInput(*problems)

    head: dict[str, object] = {"id": subject, "pbx": pbx}
    head |= {"company": company, "time": time, "type": name}
    if pbx is None:
        del head["pbx"]
    tail = {"data": data}
    if not envelope.keys() <= _ENVELOPE:  # newer PBXs may add members: kept, in JavaScript's order
        others = {key: value for key, value in envelope.items() if key not in _ENVELOPE}
        head |= {key: value for key, value in others.items() if is_index(key)}
        tail |= {key: value for key, value in others.items() if key not in head}
    start = canonical(head)[:-1]
    payload = b",".join((start, canonical(tail)[1:]))
    if pbx is not None:
        routed = pbx
    hashed = (routed, _digest(routed, payload))
    return Event(subject, pbx, company, time, name, payload, len(start), hashed)


def _digest(pbx: str | None, payload: bytes) -> UUID:
    routed = b"" if pbx is None else pbx.encode()
    return uuid_of(hashlib.sha256(b"\0".join((routed, payload))).digest()[:16])


def _text(envelope: dict[str, object], name: str, longest: int, into: list[FieldProblem]) -> str:
    value = envelope.get(name)
    if type(value) is not str:
        into.append(FieldProblem(name, f"Send a string of 1 to {longest} characters."))
        return ""
    if not 1 <= len(value) <= longest:
        advice = f"Send 1 to {longest} characters; this has {len(value)}."
        into.append(FieldProblem(name, advice))
    elif _TEXT(value) is None:
        advice = "Leave out control characters (NUL among them) and lone surrogates."
        into.append(FieldProblem(name, advice))
    return value


def _type(envelope: dict[str, object], into: list[FieldProblem]) -> str:
    found = len(into)
    value = _text(envelope, "type", 128, into)
    if len(into) == found and _NAME(value) is None:
        into.append(FieldProblem("type", "An event's name has no spaces: group:what:happened."))
    return value


def _time(envelope: dict[str, object], into: list[FieldProblem]) -> int:
    value = envelope.get("time")
    if type(value) is float and value.is_integer():
        value = int(value)  # JavaScript doesn't tell 1.0 from 1
    if type(value) is int and 0 <= value <= _LATEST:
        return value
    advice = f"Send milliseconds since the epoch as an integer from 0 to {_LATEST}."
    into.append(FieldProblem("time", advice))
    return 0


def _data(envelope: dict[str, object], into: list[FieldProblem]) -> object:
    value = envelope.get("data")
    if type(value) is not dict and not (type(value) is Printed and value.text.startswith(b"{")):
        into.append(FieldProblem("data", "Send the event's own content as a JSON object."))
    return value
