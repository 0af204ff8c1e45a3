"""Parses HTTP/1.x responses leniently: a status line that can be read decides, nothing behind it.

RFC 9112 says what may be repaired (2.2 line ends and empty lines, 5.1 and 5.2 header fields, 6.3
the body's length). What can't be repaired ends the response, and never undoes its status. The first
thing that was wrong is noted. All of it is bounded, and nothing is decompressed.
"""

import re
from http import HTTPStatus

import msgspec

from hookline.domain.deliveries import ResponseDefect
from hookline.security.egress.bodies import Chunked, Framing, Sized, UntilClosed
from hookline.security.egress.errors import NotHttp

MAX_HEAD = 65_536  # bytes of status lines and headers, interim responses included
MAX_INTERIM = 100  # responses like 100 and 103 before the final one: half a millisecond of parsing

_MAX_STATUS_LINE = 256  # bytes in which a status must stand
_BEGINNING = 8  # bytes in which `HTTP` must stand: browsers skip up to four before it
# Anything that names a status: odd spaces, versions and letter case do not make it unreadable.
_STATUS_LINE = re.compile(
    rb"(?P<junk>[\r\n\t ]*[^\r\n]{0,4}?)"
    rb"(?i:HTTP)(?:/(?P<version>[0-9.]*))?[ \t]+(?P<status>[1-9][0-9]{2})[^0-9]"
)
_HEAD_END = re.compile(rb"\n\r*\n")
# Some servers forget the empty line of an interim response: the next status line ends it as well.
_INTERIM_END = re.compile(rb"\n(?:\r*\n|(?=HTTP/[0-9.]{1,3}[ \t]+[1-9][0-9]{2}[^0-9]))")

_TEXT = rb"[\t\x20-\x7e\x80-\xff]*"
_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELDS = rb"((?:\r\n" + _NAME + rb"+:" + _TEXT + rb"+)*)\r\n\r\n"
_PROPER_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + _TEXT + rb")?")
# A final response's head as it should be, which most are: status and fields are read at once.
_PROPER_HEAD = re.compile(rb"(?!HTTP/1\.[01] 1(?!01))" + _PROPER_STATUS_LINE.pattern + _FIELDS)
_FOLD = re.compile(rb"\r*\n[ \t]+")
_FIELD = re.compile(rb"(" + _NAME + rb")[ \t]*:(.*)", re.DOTALL)
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_LONGEST_LENGTH = 18  # digits
_FINAL = int(HTTPStatus.OK)  # the least status that is not interim
_SWITCHING = int(HTTPStatus.SWITCHING_PROTOCOLS)  # never asked for, so final too
_NO_CONTENT = int(HTTPStatus.NO_CONTENT)
_BODILESS = frozenset({_SWITCHING, _NO_CONTENT, int(HTTPStatus.NOT_MODIFIED)})
# The headers that mean something here, of a head whose lines are in order.
_READ = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|retry-after):[\t ]*([^\r]*)", re.IGNORECASE
)


class Received(msgspec.Struct, gc=False):
    """A response as far as it has come; `body` holds at most the bytes that are kept of it.

    `status` is None until a final status line could be read. `headers` are those that mean
    something to Hookline, by their names in lower case.
    """

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = []
    body: bytes = b""
    defect: ResponseDefect | None = None

    def note(self, defect: ResponseDefect | None) -> None:
        """Remember what is wrong with it, unless something was wrong before that."""
        if self.defect is None:
            self.defect = defect


class Spent(msgspec.Struct, gc=False):
    """Seconds of CPU that one request took beyond a usual one's: connecting, and an odd answer."""

    seconds: float = 0.0


class ResponseParser:
    """Fills one response from a connection's bytes.

    `keep`: bytes of the body that are kept. `read`: bytes after the head at which the response is
    cut off. `done`: nothing more is waited for.
    """

    __slots__ = (
        "_body",
        "_head",
        "_interim",
        "_keep",
        "_left_to_read",
        "_persistent",
        "_response",
        "_skipped",
        "_status",
        "done",
    )

    def __init__(self, response: Received, *, keep: int, read: int) -> None:
        self._response = response
        self._keep = keep
        self._left_to_read = read
        self._head = b""  # of the response under way, interim or final
        self._skipped = 0  # bytes in front of it
        self._interim = 0  # responses in front of it
        self._status: int | None = None
        self._body: Framing | None = None
        self._persistent = False
        self.done = False

    @property
    def reusable(self) -> bool:
        """Whether another response can follow on the same connection."""
        return self.done and self._persistent and self._response.defect is None

    def feed(self, data: bytes) -> bool:
        """Take bytes; tell whether the response has ended.

        Raises NotHttp once they can't become a final status line any more.
        """
        if self._body is not None:
            self._feed_body(self._body, data)
            return self.done
        looked_at = len(self._head)
        self._head = self._head + data if looked_at else data
        if (rest := self._parse_proper(looked_at)) is None:
            rest = self._parse_leniently(looked_at)
        if rest is not None:
            self._body = self._framing()
            self._feed_body(self._body, rest)
        return self.done

    def close(self) -> None:
        """Know that the connection was closed; raise NotHttp where what came is no HTTP."""
        if isinstance(self._body, UntilClosed):
            self.done = True
        self.cut(ResponseDefect.TRUNCATED)
        if self._status is None and not b"HTTP".startswith(self._head[:4].upper()):
            raise NotHttp(f"not a status line: {self._head[:64]!r}")

    def cut(self, defect: ResponseDefect) -> None:
        """End the response where it is, if its status is known and it has not ended."""
        self._parse_status(b"\n")  # nothing follows that could be another digit
        if self.done or self._response.status is None:
            return
        self._response.note(defect)
        if self._body is None:
            head = self._head[: MAX_HEAD - self._skipped]
            self._head = b""  # it may be a flood's
            if b"\n" in head:
                self._repair_fields(head[: head.rfind(b"\n") + 1])
        self.done = True

    def _parse_proper(self, looked_at: int) -> bytes | None:
        """Read a head that is as it should be; return what follows it, None where it is not."""
        end = self._head.find(b"\r\n\r\n", max(looked_at - 3, 0)) + 4
        if end < 4 or self._skipped + end > MAX_HEAD:  # noqa: PLR2004 - not found
            return None
        match = _PROPER_HEAD.match(self._head)
        if match is None or match.end() != end:
            return None
        version, status, fields = match.groups()
        self._status = self._response.status = int(status)
        self._persistent = version == b"1"
        self._read_fields(fields)
        return self._head[end:]

    def _parse_leniently(self, looked_at: int) -> bytes | None:
        """Read what there is of a head; return what follows it, None until it has ended."""
        while True:
            if not self._parse_status() or (end := self._find_end(looked_at)) is None:
                self._check_size()
                return None
            looked_at = 0
            head, rest = self._head[: end.start() + 1], self._head[end.end() :]
            if self._response.status is not None:
                self._repair_fields(head, end[0])
                return rest
            self._skip_interim(rest)

    def _parse_status(self, ending: bytes = b"") -> bool:
        """Read the status of the status line; tell whether it is there."""
        if self._status is not None:
            return True
        match = _STATUS_LINE.match(self._head + ending if ending else self._head)
        if match is None:
            line = self._head.lstrip(b"\r\n\t ")
            lacks_http = len(line) >= _BEGINNING and b"HTTP" not in line[:_BEGINNING].upper()
            if lacks_http or b"\n" in line or len(line) > _MAX_STATUS_LINE:
                raise NotHttp(f"not a status line: {line[:64]!r}")
            return False
        junk, version, status = match.groups()
        if junk:  # a line end too many behind the last body, say
            self._response.note(ResponseDefect.LEADING_BYTES)
            self._skip(self._head[len(junk) :])
        self._status = int(status)
        if self._status >= _FINAL or self._status == _SWITCHING:
            self._response.status = self._status
            self._persistent = version == b"1.1"
        return True

    def _find_end(self, looked_at: int) -> re.Match[bytes] | None:
        ending = _INTERIM_END if self._response.status is None else _HEAD_END
        start = max(self._head.rfind(b"\n", 0, looked_at), 0)
        end = ending.search(self._head, start)
        return end if end is None or self._skipped + end.end() <= MAX_HEAD else None

    def _check_size(self) -> None:
        if self._skipped + len(self._head) > MAX_HEAD:
            if self._response.status is None:
                raise NotHttp(f"no final status line within {MAX_HEAD} bytes")
            self.cut(ResponseDefect.HEAD_TOO_LARGE)

    def _skip(self, rest: bytes) -> None:
        self._skipped += len(self._head) - len(rest)
        self._head = rest

    def _skip_interim(self, rest: bytes) -> None:
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise NotHttp(f"more than {MAX_INTERIM} interim responses")
        self._skip(rest)
        self._status = None

    def _repair_fields(self, head: bytes, ending: bytes = b"\n\r\n") -> None:
        """Read the header fields of a head, each of whose lines is complete."""
        if not _PROPER_HEAD.fullmatch(head + b"\r\n"):
            head = self._repaired(head)
        elif ending != b"\n\r\n":
            self._response.note(ResponseDefect.LINE_ENDS)
        self._read_fields(head)

    def _read_fields(self, fields: bytes) -> None:
        self._response.headers = [
            (name.lower(), value.rstrip(b"\t ")) for name, value in _READ.findall(fields)
        ]

    def _repaired(self, head: bytes) -> bytes:
        """Return the head with line ends, folded lines, spaces and control characters put right.

        Lines that are no header fields are left out.
        """
        unfolded = _FOLD.sub(b" ", head)
        status_line, *lines = [line.rstrip(b"\r") for line in unfolded.split(b"\n")]
        fields = [
            b"%s:%s" % (field[1], _CONTROLS.sub(b" ", field[2]))
            for line in lines
            if (field := _FIELD.fullmatch(line))
        ]
        if not _PROPER_STATUS_LINE.fullmatch(status_line):
            self._response.note(ResponseDefect.STATUS_LINE)
        elif unfolded != head or fields != lines[:-1]:
            self._response.note(ResponseDefect.HEADER)
        else:
            self._response.note(ResponseDefect.LINE_ENDS)
        return b"\r\n".join([status_line, *fields, b""])

    def _framing(self) -> Framing:
        """Return how the body ends: RFC 9112, 6.3."""
        status = self._response.status
        lengths: list[bytes] = []
        codings: list[bytes] = []
        options: list[bytes] = []
        for name, value in self._response.headers:
            if name == b"content-length":
                lengths += _members(value)
            elif name == b"connection":
                options += _members(value)
            elif name == b"transfer-encoding":
                codings += _members(value)
        if options:
            self._persistent = (self._persistent or b"keep-alive" in options) and (
                b"close" not in options
            )
        if status in _BODILESS:
            self._persistent = self._persistent and status != _SWITCHING
            if status == _NO_CONTENT and (codings or any(n != b"0" for n in lengths)):
                self._response.note(ResponseDefect.UNEXPECTED_BODY)
            return Sized(0)
        if codings:
            return self._encoded(codings, lengths)
        if lengths:
            return self._sized(lengths)
        self._persistent = False
        return UntilClosed()

    def _encoded(self, codings: list[bytes], lengths: list[bytes]) -> Framing:
        if codings != [b"chunked"]:
            self._response.note(ResponseDefect.TRANSFER_ENCODING)
        if lengths:  # it must not be there; the coding overrides it
            self._response.note(ResponseDefect.CONTENT_LENGTH)
        if codings[-1] == b"chunked":
            return Chunked()
        return self._sized(lengths) if lengths else UntilClosed()

    def _sized(self, lengths: list[bytes]) -> Framing:
        """Return the least of several lengths, and no body where none is a number."""
        valid = [int(each) for each in lengths if each.isdigit() and len(each) <= _LONGEST_LENGTH]
        if len(lengths) > 1 or not valid:
            self._response.note(ResponseDefect.CONTENT_LENGTH)
        return Sized(min(valid) if valid else 0)

    def _feed_body(self, body: Framing, data: bytes) -> None:
        if len(data) > self._left_to_read:
            data = data[: self._left_to_read + 1]
        self._left_to_read -= len(data)
        payload = body.feed(data)
        response = self._response
        if payload and len(response.body) < self._keep:
            response.body += payload[: self._keep - len(response.body)]
        if body.defect is not None:
            response.note(body.defect)
        if body.done:
            self.done = True
        elif self._left_to_read < 0:
            self._persistent = False
            self.done = True


def _members(value: bytes) -> list[bytes]:
    """Return the members of a header whose value is a list."""
    return [part.strip(b"\t ") for part in value.lower().split(b",")]
