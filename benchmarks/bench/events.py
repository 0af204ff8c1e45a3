"""The events that are sent: one sample of the catalogue, 1.4 kB, each with a number of its own.

The number is the envelope's `id`, so every event differs, and a receiver finds it at a fixed place:
`id` is the first member of the canonical form.
"""

from collections.abc import Sequence
from time import process_time
from typing import Any, Final

import orjson

from hookline.domain.catalogue import load_catalogue
from hookline.domain.events import Event, Limits, parse_event
from hookline.domain.filters import parse_filter
from hookline.domain.selection import Selection
from hookline.integrations.subscription import Match, Subscription

DIGITS: Final = 12  # of an event's number, and of a PBX's serial
COMPANY: Final = "it_w000001"
NUMBER_AT: Final = len(b'{"id":"')  # from a body's first byte

_SAMPLE = "call:transcription:completed"  # a call with what was said: the largest of the samples
_SIZE = 1_400  # bytes
_ROUND: Final = 200  # events
_NUMBER, _PBX = b"#" * DIGITS, b"@" * DIGITS  # places in the prepared bytes


def pattern(*, passes: bool) -> dict[str, Any]:
    """Return a filter of four leaves that looks at all of them, and lets events pass or not."""
    flows = {
        "duration": [{"numeric": [">=", 0]}],
        "direction": ["OUTBOUND" if passes else "INBOUND"],
    }
    return {
        "type": [{"prefix": "call:"}],
        "company": [COMPANY],
        "data": {"call": {"flows": flows}},
    }


def matching_us(integrations: int, passing: int) -> float:
    """Return what filters take of one event, in microseconds of CPU: the least of five rounds."""
    match = Match.of([_subscription(n, passes=n < passing) for n in range(integrations)], {})
    events = [parse_event(Template().event(n, pbx_serial(0)), Limits()) for n in range(_ROUND)]
    rounds = []
    for _ in range(5):
        began = process_time()
        for event in events:
            if len(_passing(match, event)) != passing:
                raise LookupError("the filters let other events pass than they should")
        rounds.append((process_time() - began) / _ROUND * 1e6)
    return round(min(rounds), 1)


def _subscription(number: int, *, passes: bool) -> Subscription:
    return Subscription(
        integration_id=f"in{number:04}",
        pbx=pbx_serial(0).decode(),
        company=None,
        enabled=True,
        selection=Selection(()),
        max_in_flight=None,
        ordered=False,
        target=None,
        filter=parse_filter(pattern(passes=passes)),
    )


def _passing(match: Match, event: Event) -> Sequence[Subscription]:
    steps = match.passing(event)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            decided: Match = end.value
            return decided.wanted


class Template:
    """Prepared bytes; making an event is joining five of them."""

    def __init__(self) -> None:
        canonical = parse_event(orjson.dumps(_sample()), Limits()).payload
        self.head, rest = canonical.split(_NUMBER)
        self.middle, self.tail = rest.split(_PBX)

    def event(self, number: int, pbx: bytes) -> bytes:
        """Return one envelope in its canonical form; `pbx` is a serial of 12 characters."""
        return b"".join((self.head, b"%012d" % number, self.middle, pbx, self.tail))


def pbx_serial(index: int) -> bytes:
    """Return the serial of a made-up PBX, counted from 0."""
    return b"%012d" % (index + 1)


def _sample() -> dict[str, Any]:
    """Return the catalogue's example, with more said in it until it has the size."""
    kind = load_catalogue().find(_SAMPLE)
    if kind is None:
        raise LookupError(f"the catalogue has no {_SAMPLE}")
    envelope: dict[str, Any] = orjson.loads(orjson.dumps(kind.example, default=dict))
    envelope |= {"id": _NUMBER.decode(), "pbx": _PBX.decode(), "company": COMPANY}
    said = envelope["data"]["chunks"][-1]
    missing = _SIZE - len(orjson.dumps(envelope))
    said["text"] = (said["text"] + " And so on," * _SIZE)[: len(said["text"]) + max(0, missing)]
    return envelope
