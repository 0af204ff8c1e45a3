"""Says what is wrong with a request that HTTP/1.1 does not allow: its status, and a sentence.

The parser's own reasons are for programmers of parsers, and change with its versions: none of them
is shown. One that is not listed here gets the general sentence.
"""

import re
from collections.abc import Sequence
from typing import Final

from httptools import HttpParserInvalidURLError

Refusal = tuple[int, str | None]
"""A status, and the sentence where the status' own would say too little."""

_MOST_TARGET_BYTES: Final = 32 * 1024  # RFC 9110 4.1 asks for 8,000 at the least
_HTTP2_PREFACE: Final = b"PRI * HTTP/2.0"
_TLS_HANDSHAKE: Final = b"\x16\x03"
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} \S+ HTTP/1\.[01]\r?\n")
_HEADERS_END: Final = (
    "Each header is a line of its own, a name, a colon and a value, that ends with CRLF."
)
_CHUNKS: Final = (
    "The chunks of the body are not framed as Transfer-Encoding: chunked has it: the size in"
    " hexadecimal digits, CRLF, the bytes, CRLF; and last a size of 0."
)
_ONE_LENGTH: Final = (
    "Say the body's length in one way: one Content-Length, or Transfer-Encoding: chunked."
)
_CODINGS: Final = "The one Transfer-Encoding that is taken is chunked, once and alone."
_START_LINE: Final = (
    "A request begins with a line like POST /v1/events HTTP/1.1, which ends with CRLF as all do."
)
_TARGET: Final = (
    "The address must be a path, like /v1/events, or a whole URL; what is not ASCII in it is"
    " percent-encoded."
)
_SENTENCES: Final = (  # by what the parser's reason contains
    (("content-length can't be", "transfer-encoding can't be", "duplicate content"), _ONE_LENGTH),
    (("content-length",), "Content-Length must be one number in decimal digits."),
    (("transfer-encoding",), _CODINGS),
    (
        ("whitespace after header value", "space after start line"),
        "A header's value may not go on in the next line; write it in one.",
    ),
    (("chunk",), _CHUNKS),
    (("header",), _HEADERS_END),
    (("crlf after version", "expected http/"), _START_LINE),
)


class Refused(Exception):
    """A request that the parser takes and HTTP/1.1 does not."""

    def __init__(self, status: int, detail: str | None = None) -> None:
        super().__init__(detail)
        self.refusal: Refusal = status, detail


def check_head(
    version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], *, most: int
) -> None:
    """Raise Refused for a head that its parser lets pass: RFC 9112 2.3, 3, 3.2 and 6.1.

    `most`: how many headers it may have.
    """
    if len(target) > _MOST_TARGET_BYTES:
        raise Refused(414)
    if len(headers) > most:
        raise Refused(431)
    if version not in {"1.1", "1.0"}:
        raise Refused(505)
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            raise Refused(501, _CODINGS)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Refused(400, "Send one Host header; HTTP/1.1 asks for it.")


def lines_of_head(data: bytes) -> int:
    """Return how many lines a head has, or what came of it."""
    end = data.find(b"\r\n\r\n")
    return data.count(b"\n", 0, end if end >= 0 else len(data))


def refusal_of(error: Exception, data: bytes) -> Refusal:
    """Return the answer to bytes that the parser refused, of which `data` came last."""
    if isinstance(error.__context__, Refused):
        return error.__context__.refusal
    reason = str(error).lower()
    if "method" in reason:
        return _of_method(data)
    if "http version" in reason or data.startswith(_HTTP2_PREFACE):
        return 505, None
    if any(isinstance(each, HttpParserInvalidURLError) for each in (error, error.__context__)):
        return 400, _TARGET
    found = (told for parts, told in _SENTENCES if any(part in reason for part in parts))
    return 400, next(found, None)


def _of_method(data: bytes) -> Refusal:
    if data.startswith(_TLS_HANDSHAKE):
        return 400, "This is TLS, and plain HTTP is spoken here: TLS ends at the proxy in front."
    if _REQUEST_LINE.match(data):
        return 501, None
    return 400, _START_LINE
