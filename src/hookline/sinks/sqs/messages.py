"""A shipment as SQS takes it: body, attributes, group, and the bytes that count as its size."""

import hashlib
import re
from typing import Any

from hookline.domain.targets import SqsTarget
from hookline.security.signatures import x_signature
from hookline.sinks import Shipment
from hookline.tracing import trace_headers

# SendMessage's reference: #x9, #xA, #xD, #x20–#xD7FF, #xE000–#xFFFD and #x10000–#x10FFFF.
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What MessageGroupId may be: ASCII letters, digits and punctuation.
_GROUP = re.compile(r"[!-~]{1,128}")
_LAST = b"\xef\xbf"  # how U+FFC0 to U+FFFF begin in UTF-8

Entry = dict[str, Any]  # botocore's own shape of a batch entry, without its Id


def sendable(body: bytes) -> bytes:
    """Return the JSON with the characters that SQS refuses escaped, lower case, equal when parsed.

    Canonical JSON has already escaped control characters and lone surrogates; what is left are
    U+FFFE and U+FFFF, which can only be inside of strings.
    """
    if _LAST not in body:
        return body
    return body.replace(_LAST + b"\xbe", rb"\ufffe").replace(_LAST + b"\xbf", rb"\uffff")


def group_of(subject: str) -> str:
    """Return the message group of a subject: itself where SQS allows it, its SHA-256 otherwise."""
    if _GROUP.fullmatch(subject):
        return subject
    return "sha256-" + hashlib.sha256(subject.encode(errors="surrogatepass")).hexdigest()


def entry_for(shipment: Shipment, target: SqsTarget, *, group: str | None) -> tuple[Entry, int]:
    """Return the message and its size in bytes as SQS counts it: the body and all attributes."""
    body = sendable(shipment.body)
    attributes = {
        "X-SIGNATURE": x_signature(target.secret_access_key, body),
        "type": shipment.event_type,
        "pbx": shipment.pbx or "",
        "company": shipment.company,
        "x-hookline-replay": "" if shipment.replay is None else str(shipment.replay),
        "webhook-attempt": str(shipment.attempt),
        "webhook-retry-reason": (shipment.retry_reason or "") if shipment.attempt > 1 else "",
        **dict(trace_headers(shipment.trace_context or "")),
    }
    entry: Entry = {"MessageBody": body.decode(), "MessageAttributes": {}}
    size = len(body)
    for name, value in attributes.items():
        if value:  # SQS takes no empty attribute
            text = _REFUSED.sub(_escape, value)
            entry["MessageAttributes"][name] = {"DataType": "String", "StringValue": text}
            size += len(name) + len("String") + len(text.encode())
    if group is not None:
        entry["MessageGroupId"] = group
        entry["MessageDeduplicationId"] = str(shipment.delivery_id)
    return entry, size


def attributes_of(shipment: Shipment, target: SqsTarget) -> tuple[tuple[str, str], ...]:
    """Return the names and values of the attributes that a shipment's message has."""
    entry, _ = entry_for(shipment, target, group=None)
    attributes = entry["MessageAttributes"]
    return tuple((name, attributes[name]["StringValue"]) for name in attributes)


def _escape(refused: re.Match[str]) -> str:
    return f"\\u{ord(refused[0]):04x}"
