"""Throws broken envelopes at the parser, and says what must hold of all of them.

`PYTHONPATH=tests python -m support.fuzz SECONDS [SEED]` goes on for that long; an input that breaks
a promise is kept in a file, whose name is printed.
"""

import contextlib
import json
import random
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from hookline.domain.events import Event, Limits, parse_batch, parse_event
from hookline.errors import HooklineError, InvalidInput, MalformedBody, TooLarge

LIMITS = Limits(event_bytes=20_000, batch_bytes=40_000, batch_events=20, depth=16)
REFUSALS = (InvalidInput, MalformedBody, TooLarge)
_SAMPLES = sorted((Path(__file__).parent.parent / "events").glob("*/*.json"))
_TOKENS = [
    *(
        b'{"',
        b'"',
        b"\\",
        b"\\u",
        b"\\ud800",
        b"\\u0000",
        b"\x00",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
    ),
    *(
        b"[" * 20,
        b'{"a":' * 20,
        b"]}" * 9,
        b"null",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"-1e-999",
    ),
    *(b"1" * 400, b"0.1" + b"3" * 400, b"\xe2\x80\xa8", b"\xef\xbb\xbf", b" " * 100, b",", b":"),
    *(b'"10":1,"9":2,', b'"__proto__":{},', b'"integrationId":"x",', b'"id":1,', b'"events":['),
    *(
        b'"pbx":null,',
        b'"time":1e3,',
        b'"type":"a b",',
        b'"company":"",',
        b'"data":{},',
        b"\\ufeff",
    ),
]


def corpus() -> list[bytes]:
    """Return whole envelopes, and batches of them, to be broken."""
    envelopes = [json.loads(path.read_bytes()) for path in _SAMPLES]
    for envelope in envelopes:
        envelope.pop("integrationId", None)
    whole = [json.dumps(envelope).encode() for envelope in envelopes]
    whole += [json.dumps(envelope, ensure_ascii=False, indent=1).encode() for envelope in envelopes]
    return [*whole, b'{"events": [' + b",".join(whole[:3]) + b"]}"]


def broken(samples: list[bytes], chance: random.Random) -> bytes:
    """Return a sample with a few things wrong somewhere."""
    data = bytearray(chance.choice(samples))
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at:at] = chance.choice(_TOKENS)
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                data[at : at + chance.randint(0, 20)] = chance.choice(_TOKENS)
            case _:
                other = chance.choice(samples)
                begin = chance.randrange(len(other))
                data[at:at] = other[begin : begin + chance.randint(1, 200)]
    return bytes(data)


def check(raw: bytes) -> bool:
    """Hold the parser to its promises for these bytes; tell whether they are an event.

    It returns an event or refuses with a reason of its own; what it returns is canonical: strict
    JSON that it takes again as the very same event, with one `integrationId` in each copy.
    """
    try:
        event = parse_event(raw, LIMITS)
    except REFUSALS as refusal:
        expect(str(refusal) != "", "a refusal says nothing")
        check_batch(raw, None)
        return False
    expect(parse_event(event.payload, LIMITS) == event, "an event is not itself again")
    body = event.body_for("s95eum")
    document = json.loads(body)
    expect(document.pop("integrationId") == "s95eum", "a copy names another integration")
    expect(document == json.loads(event.payload), "a copy has other content")
    expect(body.count(b"\n") == 0, "a copy has more than one line")
    check_batch(raw, event)
    return True


def check_batch(raw: bytes, event: Event | None) -> None:
    """Hold batches to theirs: an item beside a good one spoils nothing, and is judged alike."""
    with contextlib.suppress(*REFUSALS):  # told as they should be
        parse_batch(raw, LIMITS)
    if event is None or len(raw) * 2 > LIMITS.batch_bytes - 100:
        return
    both = parse_batch(b'{"events":[' + raw + b"," + raw + b"]}", LIMITS)
    expect(both == [event, event], "an event in a batch is another one")


class Broken(AssertionError):
    """A promise that does not hold."""


def expect(claim: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not claim:
        raise Broken(otherwise)


def main() -> int:
    """Go on for the given seconds."""
    seconds = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)  # noqa: S311 - no secret
    chance, samples = random.Random(seed), corpus()  # noqa: S311 - the same
    ends, taken = time.monotonic() + seconds, 0
    for tried in count():
        if time.monotonic() > ends:
            break
        raw = broken(samples, chance)
        try:
            taken += check(raw)
        except (Exception, RecursionError) as error:  # noqa: BLE001 - each is a find
            with tempfile.NamedTemporaryFile(prefix="envelope-", delete=False) as kept:
                kept.write(raw)
            kind = "" if isinstance(error, HooklineError) else type(error).__name__
            sys.stdout.write(f"Input {tried} of seed {seed} breaks a promise: {kind} {error}\n")
            sys.stdout.write(f"It is kept in {kept.name}\n")
            return 1
    sys.stdout.write(f"{tried} envelopes, {taken} of them events; seed {seed}. Nothing found.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
