"""Ports for servers that must be found again where they were."""

import errno
import random
import socket

_FIRST, _LAST = 20_000, 30_000  # no kernel gives these to clients, as it gives those above 32,768
_ANY = random.SystemRandom()


def free_port() -> int:
    """Return a port of this machine that nobody listens on, and that no client will be given."""
    while True:
        port = _ANY.randint(_FIRST, _LAST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
