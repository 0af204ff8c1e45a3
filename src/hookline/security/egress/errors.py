"""How a connection or an answer can fail, each as the httpx exception that it is a kind of."""

import httpx

from hookline.domain.deliveries import TlsReason


class TargetBlocked(httpx.ConnectError):
    """The policy allows no connection to this target; nothing was connected to."""


class NameUnknown(httpx.ConnectError):
    """The target's name has no address."""


class NotReachable(httpx.ConnectError):
    """Nothing listens there, or host or network cannot be reached."""


class TlsFailed(httpx.ConnectError):
    """No trusted and valid certificate for this name, or no TLS that both sides speak."""

    def __init__(self, message: str, reason: TlsReason) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionLost(httpx.ReadError):
    """The connection ended before the head of an answer was complete.

    `silent`: not one byte of an answer had come.
    """

    def __init__(self, message: str, *, silent: bool) -> None:
        super().__init__(message)
        self.silent = silent


class NotHttp(httpx.RemoteProtocolError):
    """What came back is not an HTTP/1.x answer, or its head is beyond the bounds."""
