"""What SQS takes and answers: a message with its size in bytes, and the verdict of an answer."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from hookline.domain.deliveries import ErrorKind, TlsReason, Verdict
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
_MOST_KEPT = 4096  # bytes of an answer, as for webhooks
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "OverLimit",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
_SERVICE = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable"}
)
_CLOCK = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_CLOCK_SENTENCES = ("signature expired", "signature not yet current")
_CREDENTIALS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_QUEUE = frozenset(
    {"InvalidAddress", "NonExistentQueue", "QueueDeletedRecently", "QueueDoesNotExist"}
)
_TOO_LARGE = frozenset({"BatchRequestTooLong", "MessageTooLong"})
_INVALID = frozenset(
    {
        "InvalidAttributeName",
        "InvalidAttributeValue",
        "InvalidMessageContents",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MissingParameter",
        "SerializationException",
        "UnsupportedOperation",
        "ValidationError",
        "ValidationException",
    }
)
_CODES = (
    (ErrorKind.THROTTLED, _THROTTLED),
    (ErrorKind.SERVICE, _SERVICE),
    (ErrorKind.INTERNAL, _CLOCK),
    (ErrorKind.CREDENTIALS, _CREDENTIALS),
    (ErrorKind.QUEUE, _QUEUE),
    (ErrorKind.INVALID, _INVALID),
)
_SIZE_SENTENCES = (
    "must be shorter than",
    "message too long",
    "messagetoolong",
    "size limit",
    "maximum message size",
)
_ADVICE = {
    ErrorKind.THROTTLED: "AWS asks to slow down.",
    ErrorKind.SERVICE: "AWS SQS failed.",
    ErrorKind.CREDENTIALS: (
        "AWS refused the key: check the AWS key and secret, and that its IAM policy allows"
        " sqs:SendMessage on this queue."
    ),
    ErrorKind.QUEUE: "There is no such queue: check account, name and region in its URL.",
    ErrorKind.ENCRYPTION: (
        "The queue's KMS key refused: the AWS key needs kms:GenerateDataKey and kms:Decrypt on it,"
        " and it must be enabled."
    ),
    ErrorKind.INVALID: "AWS refused the message itself.",
    ErrorKind.TOO_LARGE: "The message is larger than this queue takes.",
    ErrorKind.STATUS: "AWS refused the request.",
    ErrorKind.INTERNAL: "The clock of the machine that Hookline runs on is wrong.",
    ErrorKind.TIMEOUT: "AWS SQS gave up waiting for the request.",
}
_OUR_VERDICTS = {ErrorKind.BLOCKED: Verdict.BLOCKED, ErrorKind.INTERNAL: Verdict.INTERNAL}
_SILENCE = {
    ErrorKind.BLOCKED: "Hookline may not connect to this queue.",
    ErrorKind.DNS: "The host of the queue's URL has no address.",
    ErrorKind.REFUSED: "AWS SQS could not be reached.",
    ErrorKind.RESET: "The connection to AWS SQS ended before an answer had come.",
    ErrorKind.TLS: "No trusted, encrypted connection to AWS SQS came about.",
    ErrorKind.TIMEOUT: "AWS SQS did not answer in time.",
    ErrorKind.PROTOCOL: "What answered is not AWS SQS.",
    ErrorKind.INTERNAL: "Hookline itself failed to send it.",
}


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one message, without its clock."""

    verdict: Verdict
    error: ErrorKind | None = None
    status_code: int | None = None
    response: bytes = b""
    tls: TlsReason | None = None

    @property
    def spoils_a_batch(self) -> bool:
        """Whether one message may have had the whole batch refused: each alone may still pass."""
        return self.error in {ErrorKind.INVALID, ErrorKind.TOO_LARGE, ErrorKind.STATUS}


def taken(result: Mapping[str, Any], status: int) -> Answer:
    """Say that SQS has the message, and under which id it can be found there."""
    number = result.get("SequenceNumber")
    text = f"MessageId {result.get('MessageId', '')}" + (
        f", SequenceNumber {number}" if number else ""
    )
    return Answer(Verdict.DELIVERED, None, status, text.encode()[:_MOST_KEPT])


def refused(code: str, message: str, *, status: int | None, sender_fault: bool) -> Answer:
    """Classify a refusal of a call (`status` is its HTTP status) or of one entry (None)."""
    bare = code.removeprefix("AWS.SimpleQueueService.").removeprefix("AWS.")
    kind = _kind(bare, message, status, sender_fault=sender_fault)
    text = f"{_ADVICE[kind]} ({code}: {message})" if message else f"{_ADVICE[kind]} ({code})"
    return Answer(_verdict(kind), kind, status, bounded(text))


def unanswered(kind: ErrorKind, detail: str = "", *, tls: TlsReason | None = None) -> Answer:
    """Say what kept a whole answer from coming; all but `BLOCKED` may pass by itself.

    `detail` is a sentence of ours too, never the text of a library.
    """
    verdict = _OUR_VERDICTS.get(kind, Verdict.RETRY)
    text = f"{_SILENCE[kind]} {detail}" if detail else _SILENCE[kind]
    return Answer(verdict, kind, None, bounded(text), tls)


def held_back() -> Answer:
    """Say that a message was not sent, so as not to overtake an earlier one of its group."""
    text = "Not sent: an earlier message of the same group was not taken, and must go first."
    return Answer(Verdict.RETRY, ErrorKind.SERVICE, None, text.encode())


def no_key() -> Answer:
    """Say that a key id is none that AWS gives out: it was not even tried."""
    text = "The AWS key is not one: check it for spaces and line ends. Nothing was sent."
    return Answer(Verdict.REJECTED, ErrorKind.CREDENTIALS, None, text.encode())


def stopping() -> Answer:
    """Say that a message was not sent because Hookline is about to exit."""
    return unanswered(ErrorKind.INTERNAL, "It is stopping.")


def bounded(text: str) -> bytes:
    """Return at most 4 KiB of a sentence."""
    return text.encode(errors="replace")[:_MOST_KEPT]


def _kind(code: str, message: str, status: int | None, *, sender_fault: bool) -> ErrorKind:
    said = message.lower()
    if code in _TOO_LARGE or any(words in said for words in _SIZE_SENTENCES):
        return ErrorKind.TOO_LARGE
    if any(words in said for words in _CLOCK_SENTENCES):
        return ErrorKind.INTERNAL
    if code.upper().startswith("KMS") or "kms:" in said:
        return ErrorKind.THROTTLED if "Throttl" in code else ErrorKind.ENCRYPTION
    for kind, codes in _CODES:
        if code in codes:
            return kind
    if status is None:
        return ErrorKind.INVALID if sender_fault else ErrorKind.SERVICE
    return _kind_of_status(status)


def _kind_of_status(status: int) -> ErrorKind:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ErrorKind.THROTTLED
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return ErrorKind.TIMEOUT
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return ErrorKind.TOO_LARGE
    return ErrorKind.SERVICE if status >= HTTPStatus.INTERNAL_SERVER_ERROR else ErrorKind.STATUS


def _verdict(kind: ErrorKind) -> Verdict:
    match kind:
        case ErrorKind.TOO_LARGE:
            return Verdict.TOO_LARGE
        case ErrorKind.THROTTLED | ErrorKind.SERVICE | ErrorKind.TIMEOUT:
            return Verdict.RETRY
        case ErrorKind.INTERNAL:
            return Verdict.INTERNAL
        case _:
            return Verdict.REJECTED
