"""How the body of an HTTP/1.x response ends (RFC 9112, 6.3 and 7.1): by length, chunks or close.

Each kind takes bytes and returns those of the body. It is `done` once nothing of the body is left
to come, and says in `defect` what was wrong with what came.
"""

import re
from typing import Protocol

from hookline.domain.deliveries import ResponseDefect

_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r]*)?\r*")


class Framing(Protocol):
    """One kind of body."""

    done: bool
    defect: ResponseDefect | None

    def feed(self, data: bytes) -> bytes:
        """Take bytes, of which some may not belong to the body; return those that do."""


class Sized:
    """A body of so many bytes; of none, where there must not be one."""

    __slots__ = ("_left", "defect", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = not length
        self.defect: ResponseDefect | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes up to the length; more of them are a defect."""
        if len(data) > self._left:
            self.defect = ResponseDefect.UNEXPECTED_BODY
            data = data[: self._left]
        self._left -= len(data)
        self.done = not self._left
        return data


class UntilClosed:
    """A body that ends with its connection."""

    done = False
    defect: ResponseDefect | None = None

    def feed(self, data: bytes) -> bytes:
        """Take all of it."""
        return data


class Chunked:
    """A body in chunks; their extensions and the trailers are dropped."""

    def __init__(self) -> None:
        self._pending = b""  # a line that is not complete
        self._left = 0  # bytes of the chunk under way
        self._in_chunk = False  # its data, or the line end behind it, are to come
        self._in_trailers = False
        self.done = False
        self.defect: ResponseDefect | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes; what is not a chunk where one is due ends the body."""
        data = self._pending + data
        payload: list[bytes] = []
        at = 0
        while not self.done:
            if self._left:
                part = data[at : at + self._left]
                payload.append(part)
                at += len(part)
                self._left -= len(part)
            if self._left or (line_end := data.find(b"\n", at)) < 0:
                break
            self._take_line(data[at:line_end])
            at = line_end + 1
        self._pending = data[at:]
        if self.done and self._pending:
            self.defect = self.defect or ResponseDefect.UNEXPECTED_BODY
        return b"".join(payload)

    def _take_line(self, line: bytes) -> None:
        if not line.endswith(b"\r"):
            self.defect = ResponseDefect.LINE_ENDS
        if self._in_trailers:
            self.done = not line.rstrip(b"\r")
        elif self._in_chunk:
            self._in_chunk = False
            if line.rstrip(b"\r"):
                self._break()
        elif (size := _CHUNK_SIZE.fullmatch(line)) is None:
            self._break()
        else:
            self._left = int(size[1], 16)
            self._in_chunk = self._left > 0
            self._in_trailers = not self._in_chunk

    def _break(self) -> None:
        self.defect = ResponseDefect.CHUNKS
        self.done = True
