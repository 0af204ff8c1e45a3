"""Nothing of a queue, or of its AWS key, stays in memory once it is forgotten."""

import gc
import re
from hashlib import sha256
from uuid import uuid4

from hookline.domain.deliveries import Verdict
from hookline.domain.ids import new_uuid
from hookline.domain.targets import SqsTarget
from hookline.sinks import Shipment
from hookline.sinks.sqs import SqsSink
from support.objects import leaves
from support.sqs_fake import FakeSqs
from support.sqs_shipments import KEY, queue_url

MARK = re.compile("(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def digest(mark: str) -> bytes:
    """Return what tells a mark without being one that is found in memory."""
    return sha256(mark.encode()).digest()


def marks_in_memory() -> set[bytes]:
    found: set[str] = set()
    for each in leaves(str, bytes):
        text = each.decode("latin-1") if isinstance(each, bytes) else str(each)
        found.update(MARK.findall(text))
    return {digest(mark) for mark in found}


def a_target() -> tuple[SqsTarget, set[bytes]]:
    """Return a queue whose name and secret are marks, and the digests of both."""
    name, secret = uuid4().hex, uuid4().hex
    return SqsTarget(queue_url(name), KEY, secret), {digest(name), digest(secret)}


async def ship(sink: SqsSink, target: SqsTarget) -> Verdict:
    shipment = Shipment(
        new_uuid(), b"{}", target, event_type="call:start", subject="1", pbx=None, company="c"
    )
    return (await sink.send(shipment)).verdict


async def test_nothing_of_a_forgotten_queue_or_key_stays_in_memory(
    fake: FakeSqs, sink: SqsSink
) -> None:
    kept, marks_of_kept = a_target()
    gone, marks_of_gone = a_target()
    for target in (kept, gone):
        assert await ship(sink, target) is Verdict.DELIVERED
    assert marks_of_kept | marks_of_gone <= marks_in_memory()
    await sink.forget(gone)
    del gone, target
    fake.taken.clear()
    fake.calls.clear()
    gc.collect()
    left = marks_in_memory()
    assert not marks_of_gone & left
    assert marks_of_kept & left
